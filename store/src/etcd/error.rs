//! What etcd's errors mean, in words that say what to do.

use etcd_client::Error;
use tonic::Code;

use crate::tree::TreeError;

/// A text as an error that waiting may mend.
pub(super) fn unavailable(text: String) -> TreeError {
    TreeError::Unavailable(text.into())
}

/// Whether it says that there is no such lease.
pub(super) fn is_no_lease(why: &Error) -> bool {
    match why {
        Error::LeaseKeepAliveError(text) => text.contains("lease not found"),
        Error::GRpcStatus(status) => status.code() == Code::NotFound,
        _ => false,
    }
}

/// Whether the request reached etcd and was answered: the connection is good, and the answer is what it is.
pub(super) fn is_answer(why: &Error) -> bool {
    let Error::GRpcStatus(status) = why else { return false };
    matches!(
        status.code(),
        Code::ResourceExhausted
            | Code::OutOfRange
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
    )
}

/// What it means for the caller. `endpoint` is whom it came from, `prefix` what all keys of the tree begin with.
pub(super) fn translate(why: &Error, endpoint: &str, prefix: &str) -> TreeError {
    if let Error::GRpcStatus(status) = why
        && status.code() == Code::ResourceExhausted
        && status.message().contains("space")
    {
        return TreeError::NoSpace(
            format!(
                "etcd at {endpoint} has reached its quota; compact and defragment it, raise --quota-backend-bytes, then disarm the alarm (etcdctl alarm disarm)"
            )
            .into(),
        );
    }
    unavailable(in_words(why, endpoint, prefix))
}

/// One sentence, with what to do about it where that is known.
pub(super) fn in_words(why: &Error, endpoint: &str, prefix: &str) -> String {
    let text = match why {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    let causes = causes(why, &text);
    let has = |part: &str| text.contains(part) || causes.contains(part);
    let advice = if has("invalid user ID or password") {
        "etcd knows no such user with this password; check --etcd-user and --etcd-password-file"
    } else if has("user name is empty") {
        "etcd asks for a user; give --etcd-user and --etcd-password-file"
    } else if has("authentication is not enabled") {
        "etcd has no users; leave --etcd-user out, or enable them there (etcdctl auth enable)"
    } else if has("permission denied") {
        return format!(
            "etcd at {endpoint}: the user may not do this; grant it a role that reads and writes the keys that begin with {prefix} (etcdctl role grant-permission)"
        );
    } else if has("no leader") {
        "the cluster has no leader: most of its members must run and reach each other"
    } else if has("UnknownIssuer") || has("BadSignature") {
        "its certificate was not issued by what --etcd-cacert trusts; give the certificate of the authority that issued it"
    } else if has("NotValidForName") {
        "its certificate is for another name; write the endpoint with a name that the certificate has"
    } else if has("Expired") && has("certificate") {
        "its certificate has expired; renew it"
    } else if has("CertificateRequired")
        || has("BadCertificate")
        || has("alert: UnknownCA")
        || has("certificate required")
    {
        "it asks for a client certificate that it trusts; give --etcd-cert and --etcd-key"
    } else if endpoint.starts_with("https")
        && ["broken pipe", "connection closed", "reset by peer"].into_iter().any(has)
    {
        // TLS 1.3: the client takes itself for connected before it hears that its certificate is not wanted.
        "it ended the connection, as it does to clients whose certificate it does not trust; is etcd well, and are --etcd-cert and --etcd-key right?"
    } else if has("InvalidContentType") || has("HandshakeFailure") || has("handshake eof") {
        "it does not speak TLS there; write http instead of https, or check the port"
    } else if has("Connection refused") {
        "nobody listens there; is etcd running, and is the port right?"
    } else if has("failed to lookup address") || has("dns error") {
        "the name is not known; check its spelling and the name service"
    } else {
        return format!("etcd at {endpoint}: {text}{causes}");
    };
    format!("etcd at {endpoint}: {advice}")
}

/// What caused it, each with a colon before; what was said already is left out.
fn causes(why: &Error, said: &str) -> String {
    let mut text = String::new();
    let mut source = match why {
        Error::GRpcStatus(status) => std::error::Error::source(status),
        other => std::error::Error::source(other),
    };
    while let Some(why) = source {
        let cause = why.to_string();
        if !said.contains(&cause) && !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = why.source();
    }
    text
}
