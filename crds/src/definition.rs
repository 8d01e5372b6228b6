//! The definition of the resource: what `kubectl apply -f crds/` gives to an API server.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::NodeCronJob;

/// The definition as derived from the types, with four repairs that the derive macros have no word for: `nullable` is
/// stripped (an explicit null would beat a default), formats of unsigned integers become those Kubernetes knows, the
/// fields of a condition get the bounds Kubernetes gives them, and `status` begins as not yet seen, so that health checks
/// don't take a new object for a healthy one.
pub fn definition() -> CustomResourceDefinition {
    let mut value = serde_json::to_value(NodeCronJob::crd()).expect("a definition is plain data");
    repair(&mut value);
    let schema = value
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .expect("a derived definition has one version with a schema");
    let status = &mut schema["properties"]["status"];
    let condition = &mut status["properties"]["conditions"]["items"]["properties"];
    condition["type"]["maxLength"] = 316.into();
    condition["status"]["enum"] = json!(["True", "False", "Unknown"]);
    condition["reason"]["minLength"] = 1.into();
    condition["reason"]["maxLength"] = 1024.into();
    condition["message"]["maxLength"] = 32768.into();
    status["default"] = json!({
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "no controller has seen this object yet",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]
    });
    serde_json::from_value(value).expect("the repairs keep the definition's shape")
}

/// The definition as the file `crds/nodecronjobs.yaml` holds it.
pub fn definition_yaml() -> String {
    let mut value = serde_json::to_value(definition()).expect("a definition is plain data");
    plain_numbers(&mut value);
    let body = serde_yaml::to_string(&value).expect("a definition is plain data");
    format!("# Generated from crds/src/resource.rs by `cargo xtask crdgen`; an edit here is lost.\n{body}")
}

/// The fields, by their paths such as `spec.template.shell`, and the values of enumerations, that an API server with
/// another definition does not know, those below an unknown field left out. An API server drops such a field of an object
/// that it stores, and refuses such a value.
pub fn unknown_to(other: &CustomResourceDefinition) -> Vec<String> {
    let ours = definition();
    let mut unknown = Vec::new();
    for version in &ours.spec.versions {
        let Some(theirs) =
            other.spec.versions.iter().find(|theirs| theirs.name == version.name && theirs.served)
        else {
            unknown.push(format!("the version {}", version.name));
            continue;
        };
        let schema = |version| {
            let mut value = serde_json::to_value(version).expect("a definition is plain data");
            value["schema"]["openAPIV3Schema"].take()
        };
        lacking("", &schema(version), &schema(theirs), &mut unknown);
    }
    unknown
}

/// Adds what `ours` names below a path and `theirs` does not.
fn lacking(path: &str, ours: &Value, theirs: &Value, unknown: &mut Vec<String>) {
    let of = |schema: &Value, keyword| schema[keyword].as_object().cloned().unwrap_or_default();
    let known = of(theirs, "properties");
    for (name, field) in of(ours, "properties") {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match known.get(&name) {
            Some(known) => lacking(&below, &field, known, unknown),
            None => unknown.push(below),
        }
    }
    for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "")] {
        if ours[keyword].is_object() {
            lacking(&format!("{path}{suffix}"), &ours[keyword], &theirs[keyword], unknown);
        }
    }
    if let (Some(ours), Some(theirs)) = (ours["enum"].as_array(), theirs["enum"].as_array()) {
        let values = ours.iter().filter(|value| !theirs.contains(value));
        unknown.extend(values.map(|value| format!("{path}: {}", value.as_str().unwrap_or_default())));
    }
}

/// The schema of the whole object, as a manifest is checked against it.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut value = serde_json::to_value(definition()).expect("a definition is plain data");
        value["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
    });
    &SCHEMA
}

fn repair(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property of that name would be an object; the keyword is a boolean.
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            match map.get("format").and_then(Value::as_str) {
                Some("uint32") => map.insert("format".to_owned(), "int32".into()),
                Some("uint64") => map.insert("format".to_owned(), "int64".into()),
                _ => None,
            };
            map.values_mut().for_each(repair);
        }
        Value::Array(items) => items.iter_mut().for_each(repair),
        _ => {}
    }
}

/// Bounds are floating-point numbers in the definition's type; `minimum: 1.0` would puzzle a reader.
fn plain_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = whole as i64;
                *number = whole.into();
            }
        }
        Value::Object(map) => map.values_mut().for_each(plain_numbers),
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A definition that some edit of the schema makes an older one.
    fn older(edit: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut value = serde_json::to_value(definition()).expect("a definition is plain data");
        edit(&mut value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]);
        unknown_to(&serde_json::from_value(value).expect("it is one still"))
    }

    fn remove(fields: &mut Value, name: &str) {
        fields.as_object_mut().expect("an object").remove(name).expect("it was there");
    }

    #[test]
    fn what_an_older_definition_does_not_know_is_named_by_its_path() {
        assert_eq!(older(|_| {}), Vec::<String>::new());
        let timeless = older(|fields| remove(&mut fields["spec"]["properties"], "timeZone"));
        assert_eq!(timeless, ["spec.timeZone"]);
        let template = |fields: &mut Value| fields["spec"]["properties"]["template"]["properties"].take();
        assert_eq!(
            older(|fields| drop(template(fields)))
                .iter()
                .filter(|path| *path == "spec.template.command")
                .count(),
            1
        );
        let item = older(|fields| {
            let template = &mut fields["spec"]["properties"]["template"]["properties"];
            remove(&mut template["env"]["items"]["properties"], "value");
        });
        assert_eq!(item, ["spec.template.env[].value"]);
        let value = older(|fields| {
            let values = &mut fields["spec"]["properties"]["concurrencyPolicy"]["enum"];
            values.as_array_mut().expect("its values").retain(|value| value != "Allow");
        });
        assert_eq!(value, ["spec.concurrencyPolicy: Allow"]);
    }

    #[test]
    fn a_definition_without_our_version_does_not_know_it() {
        let mut other = definition();
        other.spec.versions[0].name = "v0".to_owned();
        assert_eq!(unknown_to(&other), ["the version v1alpha1"]);
        let mut other = definition();
        other.spec.versions[0].served = false;
        assert_eq!(unknown_to(&other), ["the version v1alpha1"]);
    }
}
