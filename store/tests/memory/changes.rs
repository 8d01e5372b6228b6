//! The history of changes.

use model::keys::{Folder, Key};
use model::run::Revision;
use store::memory::{Compacted, TreeState};
use store::{Change, Op};

use crate::conformance::world::name;
use crate::world::{commit, empty, job, put, stored};

/// Revisions 2 to 6.
fn made() -> TreeState {
    let mut tree = empty();
    commit(&mut tree, vec![put(job("b"), "2"), put(job("a"), "2"), put(Key::Kill(name("a")), "2")]);
    commit(&mut tree, vec![put(Key::Status(name("a").into()), "3")]);
    commit(&mut tree, vec![Op::Get(job("a"))]);
    commit(&mut tree, vec![put(job("a"), "4")]);
    commit(&mut tree, vec![Op::Delete(job("b")), Op::Delete(Key::Kill(name("a")))]);
    commit(&mut tree, vec![put(job("b"), "6")]);
    assert_eq!(tree.revision(), Revision(6));
    tree
}

/// The changed keys and the revisions of their changes.
fn told(tree: &TreeState, after: i64, folders: &[Folder]) -> Vec<Vec<(String, i64)>> {
    let (revision, groups) = tree.changes_since(Revision(after), folders).expect("they are there");
    assert_eq!(revision, tree.revision());
    let of = |change| match change {
        Change::Put(pair) => (pair.key, pair.modified.0),
        Change::Deleted { key, revision } => (key, -revision.0),
    };
    groups.into_iter().map(|group| group.into_iter().map(of).collect()).collect()
}

#[test]
fn changes_come_by_revision_for_the_folders_asked_for() {
    let tree = made();
    let [a, b, kill] = [job("a"), job("b"), Key::Kill(name("a"))].map(|key| stored(&key));
    let first = vec![(b.clone(), 2), (a.clone(), 2)];
    let later = [vec![(a.clone(), 4)], vec![(b.clone(), -5)], vec![(b.clone(), 6)]];
    assert_eq!(told(&tree, 0, &[Folder::Jobs]), [vec![first.clone()], later.to_vec()].concat());
    assert_eq!(told(&tree, 1, &[Folder::Jobs]), [vec![first], later.to_vec()].concat());
    assert_eq!(told(&tree, 2, &[Folder::Jobs]), later);
    assert_eq!(told(&tree, 4, &[Folder::Kills, Folder::Jobs])[0], [(b.clone(), -5), (kill, -5)]);
    assert_eq!(told(&tree, 5, &[Folder::Jobs]), [[(b, 6)]]);
    assert_eq!(told(&tree, 6, &[Folder::Jobs]).len(), 0);
    assert_eq!(told(&tree, 99, &[Folder::Jobs]).len(), 0);
    assert_eq!(told(&tree, 0, &[]).len(), 0);
}

#[test]
fn changes_before_a_compaction_are_gone_and_keys_stay() {
    let mut tree = made();
    let pairs: Vec<_> = tree.pairs().cloned().collect();
    tree.compact(Revision(4));
    let all = &store::protocol::FOLLOWED;
    for after in 0..3 {
        assert_eq!(tree.changes_since(Revision(after), all), Err(Compacted(Revision(4))), "after {after}");
    }
    assert_eq!(told(&tree, 3, all).len(), 3, "those of the revision itself stay");
    tree.compact(Revision(3));
    assert_eq!(told(&tree, 3, all).len(), 3, "an earlier one is no more");
    assert_eq!(tree.changes_since(Revision(2), all), Err(Compacted(Revision(4))), "and brings nothing back");
    tree.compact(Revision(99));
    assert_eq!(tree.changes_since(Revision(4), all), Err(Compacted(Revision(6))));
    assert_eq!(told(&tree, 5, all).len(), 1);
    assert_eq!(commit(&mut tree, vec![put(job("c"), "7")]), Revision(7));
    assert_eq!(told(&tree, 6, all), [[(stored(&job("c")), 7)]]);
    tree.compact(Revision(7));
    assert_eq!(told(&tree, 6, all).len(), 1);
    assert!(tree.pairs().filter(|pair| pair.key != stored(&job("c"))).eq(&pairs));
}

#[test]
fn a_listing_goes_on_with_the_changes_after_it() {
    let mut tree = made();
    let (listed, pairs) = tree.list_folders(&[Folder::Statuses, Folder::Jobs]);
    let keys: Vec<_> = pairs.iter().map(|pair| pair.key.clone()).collect();
    assert_eq!(keys, [Key::Status(name("a").into()), job("a"), job("b")].map(|key| stored(&key)));
    let last = commit(&mut tree, vec![Op::Delete(job("a"))]);
    assert_eq!(told(&tree, listed.0, &[Folder::Jobs]), [[(stored(&job("a")), -last.0)]]);
}
