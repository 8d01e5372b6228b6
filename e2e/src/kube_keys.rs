//! What an API server and its clients identify themselves by.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use serde_json::{Value, json};

/// The token of the user who may do everything.
const ADMIN: &str = "admin";

/// The keys of an API server, as files in a folder: its certificate, which is its own authority, and the keys by which it
/// signs the tokens of service accounts.
#[derive(Clone, Debug)]
pub struct KubeKeys {
    folder: PathBuf,
}

impl KubeKeys {
    /// Makes the keys of a server that is called by these names and addresses, and that knows one user, who may do
    /// everything.
    ///
    /// # Errors
    /// If the folder can't be written.
    ///
    /// # Panics
    /// If a name is none.
    pub fn make(folder: &Path, names: &[&str]) -> io::Result<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let server = rcgen::generate_simple_self_signed(names).expect("usable names");
        let accounts = KeyPair::generate().expect("a key");
        let write = |name: &str, text: String| fs::write(folder.join(name), text);
        write("server.pem", server.cert.pem())?;
        write("server.key", server.signing_key.serialize_pem())?;
        write("accounts.key", accounts.serialize_pem())?;
        write("accounts.pub", accounts.public_key_pem())?;
        write("tokens.csv", format!("{ADMIN},admin,admin,system:masters\n"))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The certificate by which clients know the server.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The key that signs tokens.
    pub fn signing_key(&self) -> PathBuf {
        self.folder.join("accounts.key")
    }

    /// What the API server is told of them.
    pub fn arguments(&self) -> Vec<String> {
        let argument = |flag: &str, file: &str| format!("--{flag}={}", self.folder.join(file).display());
        vec![
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            argument("service-account-signing-key-file", "accounts.key"),
            argument("service-account-key-file", "accounts.pub"),
            argument("token-auth-file", "tokens.csv"),
            argument("tls-cert-file", "server.pem"),
            argument("tls-private-key-file", "server.key"),
        ]
    }

    /// The configuration of a client who may do everything.
    pub fn kubeconfig(&self, server: &str) -> Value {
        self.kubeconfig_with(server, ADMIN)
    }

    /// The configuration of a client who has a token.
    pub fn kubeconfig_with(&self, server: &str, token: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": {"server": server, "certificate-authority": self.certificate()},
            }],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        })
    }
}
