//! The Merkle tree of RFC 9162, section 2.1 (the same as RFC 6962's) with SHA-256.
//!
//! Nothing here holds the leaves: a [`Tree`] keeps one hash for each bit of their number, and a
//! [`ProofBuilder`] one small tree for each node of the path, so a file of any size needs a few KiB.

use crate::Digest;
use sha2::{Digest as _, Sha256};

/// Hash of a leaf: SHA-256(0x00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// A tree that grows by one leaf at a time.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    /// Roots of the perfect subtrees that the binary digits of `size` name, the largest first.
    /// INVARIANT: `peaks.len() == size.count_ones()`.
    peaks: Vec<Digest>,
}

impl Tree {
    /// Appends the leaf whose [`leaf_hash`] this is.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Each trailing 1 bit of the old size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's hash; of the empty tree: SHA-256 of nothing.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            Some(last) => peaks.fold(last, |right, left| node_hash(&left, &right)),
            None => Digest(Sha256::digest([]).into()),
        }
    }
}

/// Builds the inclusion proof of one leaf while all leaves of a tree of known size pass by.
///
/// The nodes of a path are the roots of ranges of leaves that together with the leaf itself make up
/// the whole tree; each range gets a [`Tree`] of its own.
#[derive(Debug)]
pub struct ProofBuilder {
    index: u64,
    size: u64,
    next: u64,
    /// (first leaf, one past the last leaf, its tree), from the leaf up to the root.
    ranges: Vec<(u64, u64, Tree)>,
}

impl ProofBuilder {
    /// For the leaf at `index` (from 0) of a tree of `size` leaves; `None` if there is no such leaf.
    pub fn new(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut first, mut end, mut ranges) = (0, size, Vec::new());
        // RFC 9162, 2.1.3.1, from the root down: k is the largest power of two below the size.
        while end - first > 1 {
            let middle = first + (1 << (63 - (end - first - 1).leading_zeros()));
            if index < middle {
                ranges.push((middle, end, Tree::default()));
                end = middle;
            } else {
                ranges.push((first, middle, Tree::default()));
                first = middle;
            }
        }
        ranges.reverse();
        Some(Self { index, size, next: 0, ranges })
    }

    /// Takes the next leaf's [`leaf_hash`], in order from leaf 0. Leaves past the size are ignored.
    pub fn push(&mut self, leaf: Digest) {
        if self.next != self.index
            && let Some((_, _, tree)) = self.ranges.iter_mut().find(|r| r.0 <= self.next && self.next < r.1)
        {
            tree.push(leaf);
        }
        self.next += 1;
    }

    /// The path, from the leaf's sibling up; `None` unless exactly `size` leaves have passed.
    pub fn finish(self) -> Option<Vec<Digest>> {
        (self.next == self.size).then(|| self.ranges.iter().map(|r| r.2.root()).collect())
    }
}

/// The root that a leaf at `index` of `size` and its `path` lead to (RFC 9162, 2.1.3.2).
/// `None` where the path has the wrong length or the index is not below the size.
pub fn root_from_path(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Leaves and roots of sizes 1 to 8 as published with the reference implementation of RFC 6962.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    /// (index, size, path) as published there.
    const PATHS: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];

    fn published() -> Vec<Digest> {
        LEAVES.iter().map(|l| leaf_hash(&hex::decode(l).unwrap())).collect()
    }

    fn numbered(size: u64) -> Vec<Digest> {
        (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn root(leaves: &[Digest]) -> Digest {
        let mut tree = Tree::default();
        leaves.iter().for_each(|l| tree.push(*l));
        assert_eq!(tree.size(), leaves.len() as u64);
        tree.root()
    }

    /// The definition of RFC 9162, 2.1.1, word by word: the streaming tree must agree with it.
    fn defined(leaves: &[Digest]) -> Digest {
        match leaves.len() {
            0 => Digest(Sha256::digest([]).into()),
            1 => leaves[0],
            n => {
                let k = n.next_power_of_two() / 2;
                node_hash(&defined(&leaves[..k]), &defined(&leaves[k..]))
            }
        }
    }

    fn path(leaves: &[Digest], index: u64) -> Vec<Digest> {
        let mut proof = ProofBuilder::new(index, leaves.len() as u64).unwrap();
        leaves.iter().for_each(|l| proof.push(*l));
        proof.finish().unwrap()
    }

    #[test]
    fn published_roots() {
        assert_eq!(root(&[]).to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (i, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&published()[..=i]).to_string(), *expected, "size {}", i + 1);
        }
    }

    #[test]
    fn published_paths() {
        for (index, size, expected) in PATHS {
            let leaves = &published()[..size as usize];
            let got: Vec<_> = path(leaves, index).iter().map(ToString::to_string).collect();
            assert_eq!(got, expected, "leaf {index} of {size}");
        }
    }

    #[test]
    fn every_leaf_of_every_size_to_64() {
        for size in 1..=64u64 {
            let leaves = numbered(size);
            let root = root(&leaves);
            assert_eq!(root, defined(&leaves));
            for index in 0..size {
                let path = path(&leaves, index);
                let leaf = leaves[index as usize];
                assert_eq!(root_from_path(leaf, index, size, &path), Some(root));
                for other in (0..size + 2).filter(|o| *o != index) {
                    assert_ne!(
                        root_from_path(leaf, other, size, &path),
                        Some(root),
                        "{index} as {other} of {size}"
                    );
                }
                let longer = [&path[..], &[leaf]].concat();
                assert_eq!(root_from_path(leaf, index, size, &longer), None);
                if !path.is_empty() {
                    assert_eq!(root_from_path(leaf, index, size, &path[1..]), None);
                }
            }
        }
    }

    #[test]
    fn no_proof_without_the_leaf_or_with_leaves_missing() {
        assert!(ProofBuilder::new(0, 0).is_none());
        assert!(ProofBuilder::new(7, 7).is_none());
        assert!(ProofBuilder::new(3, 7).unwrap().finish().is_none());
        assert!(ProofBuilder::new(u64::MAX - 1, u64::MAX).is_some());
    }

    proptest! {
        #[test]
        fn a_changed_path_leads_elsewhere(size in 2u64..300, at in any::<u64>(), node in any::<usize>(), bit in 0usize..256) {
            let leaves = numbered(size);
            let index = at % size;
            let mut path = path(&leaves, index);
            let node = node % path.len();
            path[node].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(root_from_path(leaves[index as usize], index, size, &path), Some(root(&leaves)));
        }

        #[test]
        fn any_input_is_answered(leaf in any::<[u8; 32]>(), index: u64, size: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..80)) {
            let path: Vec<_> = path.into_iter().map(Digest).collect();
            let _ = root_from_path(Digest(leaf), index, size, &path);
        }
    }
}
