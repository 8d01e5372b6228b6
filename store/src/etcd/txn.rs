//! The tree's transactions as etcd's.
//!
//! etcd refuses a transaction that writes a key twice, also where a nested one might; ours never do.

use etcd_client::{
    Compare as EtcdCompare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn as EtcdTxn, TxnOp,
    TxnOpResponse, TxnResponse,
};
use model::keys::KeyPrefix;
use model::run::Revision;

use super::end_of;
use crate::tree::{Compare, KeyValue, Op, Txn, TxnReply};

/// A transaction as it is sent.
pub(super) fn request(prefix: &KeyPrefix, txn: &Txn) -> EtcdTxn {
    let ops = |ops: &[Op]| ops.iter().map(|op| operation(prefix, op)).collect::<Vec<_>>();
    EtcdTxn::new()
        .when(txn.when.iter().map(|when| compare(prefix, when)).collect::<Vec<_>>())
        .and_then(ops(&txn.then))
        .or_else(ops(&txn.otherwise))
}

fn compare(prefix: &KeyPrefix, compare: &Compare) -> EtcdCompare {
    match compare {
        Compare::Modified(key, revision) => {
            EtcdCompare::mod_revision(prefix.encode(key), CompareOp::Equal, revision.0)
        }
        Compare::Created(key, revision) => {
            EtcdCompare::create_revision(prefix.encode(key), CompareOp::Equal, revision.0)
        }
        // Every key that exists has a create revision above 0, and a range without keys passes any comparison.
        Compare::Empty(range) => {
            let from = range.prefix(prefix);
            let end = end_of(&from);
            EtcdCompare::create_revision(from, CompareOp::Equal, 0).with_range(end)
        }
    }
}

fn operation(prefix: &KeyPrefix, op: &Op) -> TxnOp {
    match op {
        Op::Put(key, value) => TxnOp::put(prefix.encode(key), value.clone(), None),
        Op::PutLeased(key, value, lease) => {
            let options = PutOptions::new().with_lease(lease.0);
            TxnOp::put(prefix.encode(key), value.clone(), Some(options))
        }
        Op::Delete(key) => TxnOp::delete(prefix.encode(key), None::<DeleteOptions>),
        Op::DeleteIf(key, revision) => {
            let key = prefix.encode(key);
            let is_it = EtcdCompare::mod_revision(key.clone(), CompareOp::Equal, revision.0);
            TxnOp::txn(EtcdTxn::new().when([is_it]).and_then([TxnOp::delete(key, None)]))
        }
        Op::Get(key) => TxnOp::get(prefix.encode(key), None),
        Op::List(range) => {
            let from = range.prefix(prefix);
            let options = GetOptions::new().with_range(end_of(&from));
            TxnOp::get(from, Some(options))
        }
    }
}

/// What became of it.
pub(super) fn reply(reply: &TxnResponse) -> TxnReply {
    let revision = reply.header().map_or(0, etcd_client::ResponseHeader::revision);
    let mut found = Vec::new();
    for response in reply.op_responses() {
        if let TxnOpResponse::Get(mut get) = response {
            found.extend(get.take_kvs().into_iter().filter_map(key_value));
        }
    }
    TxnReply { succeeded: reply.succeeded(), revision: Revision(revision), found }
}

/// A key and its value; nothing where the key is not text, and so none of ours.
pub(super) fn key_value(pair: etcd_client::KeyValue) -> Option<KeyValue> {
    let (created, modified) = (Revision(pair.create_revision()), Revision(pair.mod_revision()));
    let (key, value) = pair.into_key_value();
    match String::from_utf8(key) {
        Ok(key) => Some(KeyValue { key, value, created, modified }),
        Err(why) => {
            let key = String::from_utf8_lossy(why.as_bytes()).into_owned();
            let why = "the key is not UTF-8; delete it, and put the job under a name of letters and digits";
            tracing::warn!(key, why, "something in the job tree can't be used");
            None
        }
    }
}
