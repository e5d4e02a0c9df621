//! UDP and SCTP flows that this node began, so that the answers may come in. The least recently used is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;

/// As many as the reference client keeps.
const MAX_FLOWS: usize = 512;
const NONE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub protocol: u8,
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
}

/// A map into a list in order of use; links are indices, so nothing is allocated once the list is full.
#[derive(Debug)]
pub struct Flows {
    index: HashMap<Flow, u16>,
    nodes: Vec<Node>,
    newest: u16,
    oldest: u16,
}

#[derive(Debug)]
struct Node {
    flow: Flow,
    newer: u16,
    older: u16,
}

impl Default for Flows {
    fn default() -> Self {
        Self { index: HashMap::new(), nodes: Vec::new(), newest: NONE, oldest: NONE }
    }
}

impl Flows {
    pub fn remember(&mut self, flow: Flow) {
        if self.touch(&flow) {
            return;
        }
        let at = if self.nodes.len() < MAX_FLOWS {
            self.nodes.push(Node { flow, newer: NONE, older: NONE });
            (self.nodes.len() - 1) as u16
        } else {
            let at = self.oldest;
            self.unlink(at);
            let node = &mut self.nodes[usize::from(at)];
            self.index.remove(&node.flow);
            node.flow = flow;
            at
        };
        self.index.insert(flow, at);
        self.link_newest(at);
    }

    /// Whether the flow is known; asking counts as use.
    pub fn touch(&mut self, flow: &Flow) -> bool {
        let Some(&at) = self.index.get(flow) else { return false };
        if at != self.newest {
            self.unlink(at);
            self.link_newest(at);
        }
        true
    }

    fn unlink(&mut self, at: u16) {
        let Node { newer, older, .. } = self.nodes[usize::from(at)];
        match self.nodes.get_mut(usize::from(newer)) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.nodes.get_mut(usize::from(older)) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, at: u16) {
        let newest = self.newest;
        let node = &mut self.nodes[usize::from(at)];
        node.newer = NONE;
        node.older = newest;
        match self.nodes.get_mut(usize::from(newest)) {
            Some(node) => node.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn flow(n: u16) -> Flow {
        Flow { protocol: 17, local: ([10, 0, 0, 1].into(), n), remote: ([10, 0, 0, 2].into(), 53) }
    }

    #[test]
    fn forgets_the_flow_unused_for_longest() {
        let mut flows = Flows::default();
        for n in 0..512 {
            flows.remember(flow(n));
        }
        assert!(flows.touch(&flow(0)));
        flows.remember(flow(1000));
        assert!(flows.touch(&flow(0)));
        assert!(!flows.touch(&flow(1)));
        assert!(flows.touch(&flow(1000)));
        assert_eq!(flows.nodes.len(), 512);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(steps in proptest::collection::vec((any::<bool>(), 0u16..700), 0..3000)) {
            let mut flows = Flows::default();
            let mut list: VecDeque<u16> = VecDeque::new();
            for (remember, n) in steps {
                let known = list.iter().position(|entry| *entry == n);
                if remember {
                    flows.remember(flow(n));
                } else {
                    prop_assert_eq!(flows.touch(&flow(n)), known.is_some());
                }
                if let Some(at) = known {
                    list.remove(at);
                }
                if known.is_some() || remember {
                    list.push_back(n);
                }
                if list.len() > MAX_FLOWS {
                    list.pop_front();
                }
            }
        }
    }
}
