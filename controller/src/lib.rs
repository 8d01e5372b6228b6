//! Reconciles `NodeCronJob` resources into the job tree, and what became of them back into their status.
//!
//! Empty today: this room is kept, and its dependency rules are checked, so that the reconciler finds its place. Until
//! then `cronctl up` brings manifests into the tree.
