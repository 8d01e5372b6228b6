//! An API server that knows our resources, an etcd, and what people do with them.

use e2e::{Controller, ControllerOptions, Etcd, KubeApi, until};
use serde_json::{Value, json};

/// A schedule that is far away.
pub(crate) const YEARLY: &str = "0 0 1 1 *";

pub(crate) struct World {
    pub(crate) etcd: Etcd,
    pub(crate) api: KubeApi,
}

impl World {
    pub(crate) fn start() -> Self {
        let world = Self { etcd: Etcd::start(), api: KubeApi::start() };
        define(&world.api);
        world
    }

    pub(crate) fn options(&self) -> ControllerOptions {
        ControllerOptions::new(&self.etcd, &self.api)
    }

    pub(crate) fn controller(&self) -> Controller {
        Controller::start(self.options())
    }

    /// Applies a resource in the namespace `default`.
    pub(crate) fn apply(&self, name: &str, spec: &Value) {
        self.apply_in("default", name, spec);
    }

    pub(crate) fn apply_in(&self, namespace: &str, name: &str, spec: &Value) {
        self.api.apply(&manifest(namespace, name, spec).to_string());
    }

    /// A resource as it is, or nothing where there is none.
    pub(crate) fn resource(&self, name: &str) -> Value {
        let output = self.api.kubectl(&["get", "ncj", name, "--ignore-not-found", "--output=json"]);
        if output.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&output).expect("kubectl prints JSON")
        }
    }

    /// A condition of a resource.
    pub(crate) fn condition(&self, name: &str, kind: &str) -> Value {
        condition(&self.resource(name), kind)
    }

    /// Waits until a condition of a resource has this status and reason; returns its message.
    pub(crate) fn until_condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> String {
        until(&format!("{name} to be {kind}={status}, {reason}"), || {
            let found = self.condition(name, kind);
            let same = found["status"] == status && found["reason"] == reason;
            same.then(|| found["message"].as_str().expect("a condition has a message").to_owned())
        })
    }

    pub(crate) fn until_ready(&self, name: &str) -> String {
        self.until_condition(name, "Ready", "True", "Scheduled")
    }

    /// What a key below `/cron/` holds.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        let found = self.etcd.ctl(&["get", &format!("/cron/{key}"), "--print-value-only"]);
        found.strip_suffix('\n').map(str::to_owned)
    }

    /// The value of a job's key.
    pub(crate) fn job(&self, name: &str) -> Option<Value> {
        let value = self.value(&format!("jobs/{name}"))?;
        Some(serde_json::from_str(&value).expect("a job is JSON"))
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        self.etcd.ctl(&["put", &format!("/cron/{key}"), value]);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.etcd.ctl(&["del", &format!("/cron/{key}")]);
    }

    /// The reasons of all events about a resource.
    pub(crate) fn events(&self, name: &str) -> Vec<String> {
        let field = format!("--field-selector=regarding.name={name}");
        let output = self.api.kubectl(&["get", "events.events.k8s.io", &field, "--output=json"]);
        let list: Value = serde_json::from_str(&output).expect("kubectl prints JSON");
        let items = list["items"].as_array().expect("a list has items");
        items.iter().map(|event| event["reason"].as_str().expect("a reason").to_owned()).collect()
    }

    pub(crate) fn until_event(&self, name: &str, reason: &str) {
        until(&format!("the event {reason} about {name}"), || {
            self.events(name).iter().any(|found| found == reason).then_some(())
        });
    }
}

/// Installs the definition.
pub(crate) fn define(api: &KubeApi) {
    api.kubectl(&["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml")]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
}

pub(crate) fn manifest(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "crontab.dev/v1alpha1",
        "kind": "NodeCronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

pub(crate) fn condition(resource: &Value, kind: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array();
    let mut found = conditions.into_iter().flatten().filter(|condition| condition["type"] == kind);
    found.next().cloned().unwrap_or_default()
}

/// A spec that runs a line once a year.
pub(crate) fn yearly(command: &str) -> Value {
    json!({"schedule": YEARLY, "template": {"command": command}})
}
