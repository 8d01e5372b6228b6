//! An object from which fields are taken, until what is left is what nobody knew.

use serde_json::Value;

use super::{Refused, TEMPLATE, refused};

/// What an API server adds, and defaults that mean nothing outside of a pod.
pub(super) const SAY_NOTHING: [&str; 22] = [
    "kind",
    "status",
    "metadata.creationTimestamp",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.selfLink",
    "spec.jobTemplate.metadata.creationTimestamp",
    "spec.jobTemplate.spec.completionMode",
    "spec.jobTemplate.spec.template.metadata.creationTimestamp",
    "spec.jobTemplate.spec.template.spec.dnsPolicy",
    "spec.jobTemplate.spec.template.spec.schedulerName",
    "spec.jobTemplate.spec.template.spec.enableServiceLinks",
    "spec.jobTemplate.spec.template.spec.automountServiceAccountToken",
    "spec.jobTemplate.spec.template.spec.imagePullSecrets",
    "spec.jobTemplate.spec.template.spec.containers[0].name",
    "spec.jobTemplate.spec.template.spec.containers[0].imagePullPolicy",
    "spec.jobTemplate.spec.template.spec.containers[0].terminationMessagePath",
    "spec.jobTemplate.spec.template.spec.containers[0].terminationMessagePolicy",
    "spec.jobTemplate.spec.template.spec.containers[0].tty",
    "spec.jobTemplate.spec.template.spec.containers[0].stdin",
];

/// What is left of an object. Paths are as in `spec.containers[0].image`.
pub(super) struct Fields(Value);

impl Fields {
    pub(super) fn new(object: Value) -> Self {
        Self(object)
    }

    /// Takes a field; null is none.
    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut value = &mut self.0;
        for step in parent.split('.').filter(|step| !step.is_empty()) {
            let (name, index) = step.split_once('[').map_or((step, None), |(name, rest)| (name, Some(rest)));
            value = value.get_mut(name)?;
            if let Some(index) = index {
                value = value.get_mut(index.trim_end_matches(']').parse::<usize>().ok()?)?;
            }
        }
        value.as_object_mut()?.remove(last).filter(|value| !value.is_null())
    }

    pub(super) fn drop(&mut self, path: &str) {
        self.take(path);
    }

    pub(super) fn drop_annotation(&mut self, name: &str) {
        // Its name has dots, so it has no path.
        if let Some(annotations) = self.0["metadata"]["annotations"].as_object_mut() {
            annotations.remove(name);
        }
    }

    pub(super) fn text(&mut self, path: &str) -> Result<Option<String>, Refused> {
        self.read(path, "text", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn boolean(&mut self, path: &str) -> Result<Option<bool>, Refused> {
        self.read(path, "true or false", Value::as_bool)
    }

    pub(super) fn number(&mut self, path: &str) -> Result<Option<u32>, Refused> {
        self.read(path, "a whole number from 0 on", |value| u32::try_from(value.as_u64()?).ok())
    }

    pub(super) fn texts(&mut self, path: &str) -> Result<Vec<String>, Refused> {
        let read = |value: &Value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.read(path, "a list of texts", read)?.unwrap_or_default())
    }

    pub(super) fn list(&mut self, path: &str) -> Result<Vec<Value>, Refused> {
        Ok(self.read(path, "a list", |value| value.as_array().cloned())?.unwrap_or_default())
    }

    fn read<T>(
        &mut self,
        path: &str,
        what: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Refused> {
        let Some(value) = self.take(path) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| refused(path, format!("this must be {what}")))
    }

    /// How many containers there are, and how many of those that run before them.
    pub(super) fn containers(&self) -> (usize, usize) {
        let pod = &self.0["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        let count = |field: &str| pod[field].as_array().map_or(0, Vec::len);
        (count("containers"), count("initContainers"))
    }

    /// The fields that are left, in short: those of the container, of the pod, and of the job that makes it.
    pub(super) fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        collect(&self.0, "", &mut rest);
        rest.dedup();
        rest
    }
}

/// The paths of what says something, two levels below where names are known.
fn collect(value: &Value, path: &str, into: &mut Vec<String>) {
    let known =
        ["", "metadata", "spec", "spec.jobTemplate", "spec.jobTemplate.metadata", "spec.jobTemplate.spec"];
    let below_known = known.contains(&path)
        || [TEMPLATE, &format!("{TEMPLATE}.metadata"), &format!("{TEMPLATE}.spec")].contains(&path)
        || [format!("{TEMPLATE}.spec.containers"), format!("{TEMPLATE}.spec.containers[0]")]
            .contains(&path.to_owned());
    match value {
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(map) if below_known => {
            for (name, value) in map {
                collect(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, into);
            }
        }
        Value::Array(items) if below_known => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{path}[{index}]"), into);
            }
        }
        _ => into.push(short(path)),
    }
}

fn short(path: &str) -> String {
    for (prefix, name) in [
        (format!("{TEMPLATE}.spec.containers[0]."), "container"),
        (format!("{TEMPLATE}.spec."), "pod"),
        (format!("{TEMPLATE}."), "pod"),
        ("spec.jobTemplate.spec.".to_owned(), "job"),
        ("spec.jobTemplate.".to_owned(), "job"),
    ] {
        if let Some(rest) = path.strip_prefix(&prefix) {
            return format!("{rest} ({name})");
        }
    }
    path.to_owned()
}
