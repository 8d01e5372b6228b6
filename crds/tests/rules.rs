//! The CEL rules of the schema, evaluated without a server: each refuses what it is there for, in the words in which our
//! parser refuses it, and accepts every valid manifest.

use std::collections::BTreeMap;
use std::path::Path;

use kube_cel::Validator;
use serde::Deserialize as _;
use serde_json::Value;

fn schema() -> Value {
    let mut definition = serde_json::to_value(crds::definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

/// The messages of all rules.
fn messages(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(map) => {
            let own = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
            let own = own.filter_map(|rule| rule["message"].as_str()).map(str::to_owned);
            own.chain(map.values().flat_map(messages)).collect()
        }
        Value::Array(items) => items.iter().flat_map(messages).collect(),
        _ => Vec::new(),
    }
}

/// The jobs of each file of a folder; files that are no YAML have none.
fn jobs(folder: &str) -> BTreeMap<String, (String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut objects = Vec::new();
        for document in serde_yaml::Deserializer::from_str(text.trim_start_matches('\u{feff}')) {
            // A syntax error would come again for ever.
            let Ok(mut value) = serde_yaml::Value::deserialize(document) else { break };
            if value.apply_merge().is_err() {
                break;
            }
            let mut object: Value = serde_json::to_value(value).unwrap();
            drop_nulls(&mut object);
            let items = object["items"].as_array().cloned().unwrap_or_else(|| vec![object]);
            objects.extend(items.into_iter().filter(|item| item["kind"] == "NodeCronJob"));
        }
        found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), (text, objects));
    }
    found
}

/// As an API server does before it fills in the defaults.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn broken(validator: &Validator, schema: &Value, job: &Value, before: Option<&Value>) -> Vec<String> {
    match validator.validate(schema, job, before) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

/// The rule about a change of an object, which no single manifest breaks.
const OF_A_CHANGE: &str =
    "jobName can't be set, changed or removed after creation; delete the object and create another";

#[test]
fn a_job_name_is_fixed_at_creation() {
    let (validator, schema) = (Validator::new(), schema());
    let (_, minimal) = &jobs("valid")["minimal.yaml"];
    let named = |name: Option<&str>| {
        let mut job = minimal[0].clone();
        if let Some(name) = name {
            job["spec"]["jobName"] = name.into();
        }
        job
    };
    for (before, after, refused) in [
        (None, None, false),
        (Some("a"), Some("a"), false),
        (Some("a"), Some("b"), true),
        (Some("a"), None, true),
        (None, Some("a"), true),
    ] {
        let broken = broken(&validator, &schema, &named(after), Some(&named(before)));
        assert_eq!(broken.contains(&OF_A_CHANGE.to_owned()), refused, "{before:?} to {after:?}: {broken:?}");
    }
}

/// The rule that asks a server for its own zones; nothing else can try it.
const NEEDS_A_SERVER: &str = "the time zone is unknown; write an IANA name such as Europe/Paris";

#[test]
fn no_rule_refuses_a_valid_manifest() {
    let (validator, schema) = (Validator::new(), schema());
    for (name, (_, jobs)) in jobs("valid") {
        assert!(!jobs.is_empty(), "{name}");
        for job in jobs {
            assert_eq!(broken(&validator, &schema, &job, None), [""; 0], "{name}: {job}");
        }
    }
}

#[test]
fn every_rule_refuses_what_our_parser_refuses_in_the_same_words() {
    let (validator, schema) = (Validator::new(), schema());
    let elsewhere = [NEEDS_A_SERVER, OF_A_CHANGE];
    let rules: Vec<_> =
        messages(&schema).into_iter().filter(|message| !elsewhere.contains(&message.as_str())).collect();
    let mut untried = rules.clone();
    for (name, (text, jobs)) in jobs("invalid") {
        let expect =
            text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).expect("a first line");
        let [job] = &jobs[..] else { continue };
        let broken = broken(&validator, &schema, job, None);
        // What else is expected comes from the schema proper, such as a type.
        let by_rule = rules.iter().any(|message| message.contains(expect));
        let said = broken.iter().any(|message| message.contains(expect));
        assert!(said || !by_rule, "{name}: {expect:?} is not in {broken:?}");
        untried.retain(|message| !broken.contains(message));
    }
    assert_eq!(untried, [""; 0], "rules without an invalid manifest");
}
