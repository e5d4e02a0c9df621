//! The handshake's primitives under the whitepaper's names (section 5.4): HASH, MAC, HMAC, KDF, XAEAD.

use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::AeadInPlace;
use subtle::ConstantTimeEq;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

pub(crate) type Key = [u8; 32];
pub(crate) type SecretKey = Zeroizing<[u8; 32]>;

/// The system gave no random bytes. Nothing can be done without; try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomError;

impl std::fmt::Display for RandomError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the system gave no random bytes")
    }
}

impl std::error::Error for RandomError {}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

pub(crate) fn random_secret() -> Result<StaticSecret, RandomError> {
    let bytes = Zeroizing::new(random::<32>()?);
    Ok(StaticSecret::from(*bytes))
}

pub(crate) fn hash(parts: &[&[u8]]) -> Key {
    let mut state = Blake2s256::new();
    for part in parts {
        Digest::update(&mut state, part);
    }
    state.finalize().into()
}

/// Keyed BLAKE2s with 16 bytes of output.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut state = <Blake2sMac<U16> as KeyInit>::new_from_slice(key).expect("keys here have 16 or 32 bytes");
    for part in parts {
        Mac::update(&mut state, part);
    }
    state.finalize_fixed().into()
}

pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// HMAC (RFC 2104) over unkeyed BLAKE2s, whose block has 64 bytes. `key` has at most that many.
fn hmac(key: &[u8], parts: &[&[u8]]) -> SecretKey {
    let mut inner_pad = Zeroizing::new([0x36; 64]);
    let mut outer_pad = Zeroizing::new([0x5c; 64]);
    for (i, byte) in key.iter().enumerate() {
        inner_pad[i] ^= byte;
        outer_pad[i] ^= byte;
    }
    let mut inner = Blake2s256::new();
    Digest::update(&mut inner, &inner_pad[..]);
    for part in parts {
        Digest::update(&mut inner, part);
    }
    let inner: SecretKey = Zeroizing::new(inner.finalize().into());
    Zeroizing::new(hash(&[&outer_pad[..], &inner[..]]))
}

/// HKDF (RFC 5869) without info; the first one, two or three outputs.
pub(crate) fn kdf1(key: &[u8], input: &[u8]) -> SecretKey {
    hmac(&hmac(key, &[input])[..], &[&[1]])
}

pub(crate) fn kdf2(key: &[u8], input: &[u8]) -> (SecretKey, SecretKey) {
    let secret = hmac(key, &[input]);
    let first = hmac(&secret[..], &[&[1]]);
    let second = hmac(&secret[..], &[&first[..], &[2]]);
    (first, second)
}

pub(crate) fn kdf3(key: &[u8], input: &[u8]) -> (SecretKey, SecretKey, SecretKey) {
    let secret = hmac(key, &[input]);
    let first = hmac(&secret[..], &[&[1]]);
    let second = hmac(&secret[..], &[&first[..], &[2]]);
    let third = hmac(&secret[..], &[&second[..], &[3]]);
    (first, second, third)
}

/// XChaCha20-Poly1305 over a cookie: 16 bytes in, 32 out.
pub(crate) fn seal_cookie(key: &Key, nonce: &[u8; 24], aad: &[u8], cookie: &[u8; 16]) -> [u8; 32] {
    let mut out = [0; 32];
    out[..16].copy_from_slice(cookie);
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_in_place_detached(nonce.into(), aad, &mut out[..16]);
    out[16..].copy_from_slice(&tag.expect("16 bytes are below every limit"));
    out
}

pub(crate) fn open_cookie(key: &Key, nonce: &[u8; 24], aad: &[u8], sealed: &[u8; 32]) -> Option<[u8; 16]> {
    let (text, tag) = sealed.split_at(16);
    let mut cookie: [u8; 16] = text.try_into().ok()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_in_place_detached(nonce.into(), aad, &mut cookie, tag.into()).ok()?;
    Some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, hex32};

    /// wireguard-go `device/kdf_test.go`, TestKDF.
    #[test]
    fn kdf_gives_the_reference_outputs() {
        let cases = [
            (
                "746573742d6b6579",
                "746573742d696e707574",
                "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
                "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
                "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24",
            ),
            (
                "776972656775617264",
                "776972656775617264",
                "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
                "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
                "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160",
            ),
            (
                "",
                "",
                "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
                "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
                "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e",
            ),
        ];
        for (key, input, first, second, third) in cases {
            let (key, input) = (hex(key), hex(input));
            let (t1, t2, t3) = kdf3(&key, &input);
            assert_eq!((*t1, *t2, *t3), (hex32(first), hex32(second), hex32(third)));
            assert_eq!(kdf2(&key, &input), (t1.clone(), t2));
            assert_eq!(kdf1(&key, &input), t1);
        }
    }

    /// RFC 7693 appendix B.
    #[test]
    fn hash_is_blake2s() {
        let abc = hex32("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        assert_eq!(hash(&[b"a", b"bc"]), abc);
    }

    #[test]
    fn a_cookie_opens_only_with_its_own_mac1() {
        let sealed = seal_cookie(&[1; 32], &[2; 24], b"mac1", &[3; 16]);
        assert_eq!(open_cookie(&[1; 32], &[2; 24], b"mac1", &sealed), Some([3; 16]));
        assert_eq!(open_cookie(&[1; 32], &[2; 24], b"mac2", &sealed), None);
    }
}
