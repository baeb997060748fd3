// SPDX-License-Identifier: GPL-3.0-or-later
//! The numbers by which the kernel knows the nodes of the image.
//!
//! A number is 1 more than these bits, so that the root is 1:
//!
//! | bits | meaning |
//! |---|---|
//! | 0-37 | the node's number in its tree, or a count for the stream of a file |
//! | 38 | a stream (`file:stream`) |
//! | 39 | the node was made in the overlay |
//! | 40-63 | which tree: a commit puts a new one in place of the old |
//!
//! A number that the kernel has stays good when the tree is exchanged: the node that is in the place of the old one
//! goes on under it. So two tables lead from old numbers to present nodes and back; both hold only what the kernel
//! knew at the last exchange.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fuse_mount::Node;

use crate::base::{NodeId, name};

const TREE: u32 = 40;
const MADE: u64 = 1 << 39;
const STREAM: u64 = 1 << 38;

/// How nodes of the present tree are numbered.
#[derive(Default)]
pub(super) struct Numbers {
    tree: u64,
    kept: HashMap<NodeId, Node>,
    nodes: HashMap<Node, NodeId>,
}

impl Numbers {
    /// The numbers of the next tree; `kept` are the nodes of it that stand for old numbers.
    pub(super) fn next(&self, kept: impl IntoIterator<Item = (Node, NodeId)>) -> Self {
        let nodes: HashMap<Node, NodeId> = kept.into_iter().collect();
        let kept = nodes.iter().map(|(number, id)| (*id, *number)).collect();
        Self { tree: self.tree + 1, kept, nodes }
    }

    /// The number of a node.
    pub(super) fn number(&self, id: NodeId) -> Node {
        if let Some(number) = self.kept.get(&id) {
            return *number;
        }
        let made = if id.is_new() { MADE } else { 0 };
        Node(1 + (self.tree << TREE | made | id.0 & (STREAM - 1)))
    }

    /// The node of a number; nothing for one of an earlier tree that is not there any more.
    pub(super) fn node(&self, number: Node) -> Option<NodeId> {
        if let Some(id) = self.nodes.get(&number) {
            return Some(*id);
        }
        let bits = number.0.checked_sub(1)?;
        let id = bits & (STREAM - 1);
        let id = NodeId(if bits & MADE == 0 { id } else { NodeId::NEW | id });
        let present = bits >> TREE == self.tree && !is_stream(number) && !self.kept.contains_key(&id);
        present.then_some(id)
    }
}

/// Whether a number is that of a stream.
pub(super) fn is_stream(number: Node) -> bool {
    number.0.wrapping_sub(1) & STREAM != 0
}

/// The streams that are known by a number of their own.
#[derive(Default)]
pub(super) struct Streams(Mutex<Table>);

#[derive(Default)]
struct Table {
    count: u64,
    by_number: HashMap<Node, (NodeId, Vec<u16>)>,
    by_name: HashMap<(NodeId, Vec<u16>), Node>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a stream, a new one if it has none.
    pub(super) fn number(&self, file: NodeId, stream: &[u16]) -> Node {
        let mut table = self.lock();
        let key = (file, name::upcased(stream));
        if let Some(number) = table.by_name.get(&key) {
            return *number;
        }
        let number = Node(1 + (STREAM | table.count));
        table.count += 1;
        table.by_name.insert(key, number);
        table.by_number.insert(number, (file, stream.to_vec()));
        number
    }

    /// The file and the name of the stream.
    pub(super) fn find(&self, number: Node) -> Option<(NodeId, Vec<u16>)> {
        self.lock().by_number.get(&number).cloned()
    }

    pub(super) fn forget(&self, number: Node) {
        let mut table = self.lock();
        if let Some((file, stream)) = table.by_number.remove(&number) {
            table.by_name.remove(&(file, name::upcased(&stream)));
        }
    }

    /// After an exchange of the tree: the files as they are now; streams of those that are gone go too.
    pub(super) fn exchange(&self, mut file_now: impl FnMut(NodeId) -> Option<NodeId>) {
        let mut table = self.lock();
        let old = std::mem::take(&mut table.by_number);
        table.by_name.clear();
        for (number, (file, stream)) in old {
            if let Some(file) = file_now(file) {
                table.by_name.insert((file, name::upcased(&stream)), number);
                table.by_number.insert(number, (file, stream));
            }
        }
    }
}

/// How often the kernel was told of a node and has not forgotten it.
#[derive(Default)]
pub(super) struct References(Mutex<HashMap<Node, u64>>);

impl References {
    fn lock(&self) -> MutexGuard<'_, HashMap<Node, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, number: Node) {
        *self.lock().entry(number).or_default() += 1;
    }

    /// Takes references back; true when it was the last.
    pub(super) fn take(&self, number: Node, count: u64) -> bool {
        let mut references = self.lock();
        let Some(left) = references.get_mut(&number) else { return false };
        *left = left.saturating_sub(count);
        let last = *left == 0;
        if last {
            references.remove(&number);
        }
        last
    }

    /// Every node that the kernel knows.
    pub(super) fn known(&self) -> Vec<Node> {
        self.lock().keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back() {
        let first = Numbers::default();
        assert_eq!(first.number(NodeId(0)), Node::ROOT);
        for id in
            [NodeId(0), NodeId(77), NodeId(u64::from(u32::MAX)), NodeId(NodeId::NEW), NodeId(NodeId::NEW | 5)]
        {
            assert_eq!(first.node(first.number(id)), Some(id), "{id:?}");
        }
        // Node 77 became 80, and the root stays the root; the kernel does not know node 9 yet.
        let (of_77, of_9) = (first.number(NodeId(77)), first.number(NodeId(9)));
        let second = first.next([(Node::ROOT, NodeId(0)), (of_77, NodeId(80))]);
        assert_eq!((second.node(Node::ROOT), second.number(NodeId(0))), (Some(NodeId(0)), Node::ROOT));
        assert_eq!((second.node(of_77), second.number(NodeId(80))), (Some(NodeId(80)), of_77));
        assert_eq!(second.node(of_9), None);
        let fresh = second.number(NodeId(77));
        assert_ne!(fresh, of_77);
        assert_eq!(second.node(fresh), Some(NodeId(77)));
        assert_eq!(second.node(Node(0)), None);
    }

    #[test]
    fn streams() {
        let streams = Streams::default();
        let number = streams.number(NodeId(3), &[0x61]);
        assert!(is_stream(number) && !is_stream(Node::ROOT));
        assert_eq!(Numbers::default().node(number), None);
        assert_eq!(streams.number(NodeId(3), &[0x41]), number);
        assert_ne!(streams.number(NodeId(4), &[0x61]), number);
        streams.exchange(|id| (id == NodeId(3)).then_some(NodeId(7)));
        assert_eq!(streams.find(number), Some((NodeId(7), vec![0x61])));
        assert_eq!(streams.number(NodeId(7), &[0x61]), number);
        streams.forget(number);
        assert_eq!(streams.find(number), None);
    }

    #[test]
    fn references() {
        let references = References::default();
        references.add(Node(5));
        references.add(Node(5));
        assert!(!references.take(Node(5), 1));
        assert_eq!(references.known(), [Node(5)]);
        assert!(references.take(Node(5), 1));
        assert!(!references.take(Node(5), 1));
    }
}
