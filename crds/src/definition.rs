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
