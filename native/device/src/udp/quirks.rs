//! What particular kernels get wrong. The table is small on purpose: everything that shows as an error is handled where
//! it shows; here is only what goes wrong silently.

use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// UDP GRO gave wrong sizes to readers before Linux 5.12 (wireguard-go leaves it off there too).
    pub no_udp_gro: bool,
    /// Linux 7.0 to 7.1.4 corrupts checksums of trains whose segments are all equal; a one-byte tail avoids it.
    pub equal_tail_corrupts: bool,
}

pub fn quirks() -> Quirks {
    static FOUND: OnceLock<Quirks> = OnceLock::new();
    *FOUND.get_or_init(|| for_release(&kernel_release()))
}

fn for_release(release: &str) -> Quirks {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    Quirks {
        // An unreadable release counts as a new kernel.
        no_udp_gro: version != (0, 0, 0) && version < (5, 12, 0),
        equal_tail_corrupts: ((7, 0, 0)..=(7, 1, 4)).contains(&version),
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kernel_releases() {
        let of = |release| (for_release(release).no_udp_gro, for_release(release).equal_tail_corrupts);
        assert_eq!(of("5.11.22-generic\n"), (true, false));
        assert_eq!(of("5.12"), (false, false));
        assert_eq!(of("6.18.44-x-v669"), (false, false));
        assert_eq!(of("7.0.0-rc1"), (false, true));
        assert_eq!(of("7.1.4"), (false, true));
        assert_eq!(of("7.1.5"), (false, false));
        assert_eq!(of(""), (false, false));
    }
}
