//! What has to be true of the generated definition, whatever fields it gets.

use serde_json::Value;

fn definition() -> Value {
    serde_json::to_value(crds::definition()).unwrap()
}

fn schema() -> Value {
    definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

/// Calls `f` with the path and the schema of every field and every list entry.
fn walk(path: &str, schema: &Value, f: &mut dyn FnMut(&str, &Value)) {
    f(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, f);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], f);
    }
}

/// The paths for which `wrong` is true.
fn offenders(wrong: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    walk("", &schema(), &mut |path, schema| {
        if wrong(schema) {
            found.push(path.to_owned());
        }
    });
    found
}

#[test]
fn every_field_is_described() {
    let mut silent =
        offenders(|schema| schema["description"].as_str().is_none_or(|text| text.trim().is_empty()));
    // An entry of a list of texts is described by the list.
    silent.retain(|path| !path.ends_with("[]"));
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_text_and_list_is_bounded() {
    let unbounded = offenders(|schema| match schema["type"].as_str() {
        Some("string") => {
            schema["maxLength"].is_null() && schema["enum"].is_null() && schema["format"] != "date-time"
        }
        Some("array") => schema["maxItems"].is_null(),
        Some("object") => schema["properties"].is_null(),
        Some("integer") => {
            let generated = schema["description"].as_str().is_some_and(|text| text.contains("generation"));
            schema["minimum"].is_null() && !generated
        }
        Some("boolean") => false,
        _ => true,
    });
    assert_eq!(unbounded, [""; 0]);
}

#[test]
fn a_null_never_beats_a_default() {
    assert_eq!(offenders(|schema| !schema["nullable"].is_null()), [""; 0]);
}

#[test]
fn formats_are_those_kubernetes_knows() {
    let known =
        |schema: &Value| matches!(schema["format"].as_str(), None | Some("int32" | "int64" | "date-time"));
    assert_eq!(offenders(|schema| !known(schema)), [""; 0]);
}

#[test]
fn lists_say_how_they_are_merged() {
    let unmerged =
        offenders(|schema| schema["type"] == "array" && schema["x-kubernetes-list-type"].is_null());
    assert_eq!(unmerged, [""; 0]);
}

#[test]
fn every_rule_says_what_to_write() {
    let mute = offenders(|schema| {
        let rules = schema["x-kubernetes-validations"].as_array();
        rules.into_iter().flatten().any(|rule| rule["message"].as_str().is_none_or(str::is_empty))
    });
    assert_eq!(mute, [""; 0]);
}

#[test]
fn a_new_object_is_not_yet_ready() {
    let default = &schema()["properties"]["status"]["default"]["conditions"][0];
    assert_eq!(
        (&default["type"], &default["status"], &default["reason"]),
        (&"Ready".into(), &"Unknown".into(), &"Pending".into())
    );
    assert_eq!(definition()["spec"]["versions"][0]["subresources"], serde_json::json!({"status": {}}));
}

#[test]
fn the_committed_definition_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/nodecronjobs.yaml");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == crds::definition_yaml(), "run cargo xtask crdgen and commit what it writes");
}

#[test]
fn the_yaml_reads_back_as_the_definition() {
    let read: Value = serde_yaml::from_str(&crds::definition_yaml()).unwrap();
    let read: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
        serde_json::from_value(read).unwrap();
    assert_eq!(read, crds::definition());
}
