//! The one container of a pod, as a command on a node.

use crds::EnvVar;
use serde_json::Value;

use super::expand::expand;
use super::fields::Fields;
use super::{Document, Refused, TEMPLATE, refused};

pub(super) fn read(fields: &mut Fields, document: &mut Document) -> Result<(), Refused> {
    let pod = format!("{TEMPLATE}.spec");
    let container = format!("{pod}.containers[0]");
    match fields.containers() {
        (1, 0) => {}
        (0, _) => return Err(refused(pod, "its pod has no container; write one with a command")),
        (1, _) => {
            let why = "its pod runs init containers first; put all of it into one command";
            return Err(refused(format!("{pod}.initContainers"), why));
        }
        (count, _) => {
            let why = format!("its pod runs {count} containers; a run here is one command");
            return Err(refused(format!("{pod}.containers"), why));
        }
    }
    let variables = variables(fields, &format!("{container}.env"), document)?;
    let sources = fields.list(&format!("{container}.envFrom"))?;
    for source in &sources {
        document.note(format!("its variables from {} are missing here", reference(source)));
    }
    let path = format!("{container}.command");
    let mut words = fields.texts(&path)?;
    if words.is_empty() {
        let why = "its command is in the image (ENTRYPOINT) and not in the manifest; write command";
        return Err(refused(container, why));
    }
    words.extend(fields.texts(&format!("{container}.args"))?);
    let words: Vec<String> = words.iter().map(|word| expand(word, &variables)).collect();
    if let Some(image) = fields.text(&format!("{container}.image"))? {
        document.note(format!("it ran in the image {image}; here the node must have {}", words[0]));
    }
    let template = &mut document.spec.template;
    match <[String; 3]>::try_from(words) {
        Ok([shell, flag, line]) if is_shell(&shell) && flag == "-c" => {
            template.command = Some(line);
            template.shell = vec![shell, flag];
        }
        Ok(words) => template.exec = words.into(),
        Err(words) => template.exec = words,
    }
    template.working_dir = fields.text(&format!("{container}.workingDir"))?;
    template.env = variables;
    Ok(())
}

fn is_shell(program: &str) -> bool {
    ["sh", "ash", "bash", "dash", "ksh", "zsh"].contains(&program.rsplit('/').next().unwrap_or_default())
}

/// The variables with a value, each as Kubernetes expands it; of those with one name, the last.
fn variables(fields: &mut Fields, path: &str, document: &mut Document) -> Result<Vec<EnvVar>, Refused> {
    let mut variables: Vec<EnvVar> = Vec::new();
    for (index, variable) in fields.list(path)?.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let name =
            variable["name"].as_str().ok_or_else(|| refused(&at, "a variable has no name; write one"))?;
        variables.retain(|former| former.name != name);
        if !variable["valueFrom"].is_null() {
            document.note(format!(
                "its variable {name} from {} is missing here",
                reference(&variable["valueFrom"])
            ));
            continue;
        }
        let value = match &variable["value"] {
            Value::Null => "",
            Value::String(value) => value,
            _ => return Err(refused(at, "a variable's value must be text; put it in quotes")),
        };
        if name.starts_with("CRON_") {
            document.note(format!(
                "its variable {name} is left out: names that begin with CRON_ are the worker's"
            ));
            continue;
        }
        let value = expand(value, &variables);
        variables.push(EnvVar { name: name.to_owned(), value });
    }
    Ok(variables)
}

/// Where a value comes from, in words.
fn reference(source: &Value) -> String {
    let Some((kind, what)) =
        source.as_object().and_then(|source| source.iter().find(|(_, what)| what.is_object()))
    else {
        return "somewhere else".to_owned();
    };
    let (name, key) = (what["name"].as_str(), what["key"].as_str());
    match (kind.as_str(), name, key) {
        ("secretKeyRef" | "secretRef", Some(name), None) => format!("the secret {name}"),
        ("secretKeyRef" | "secretRef", Some(name), Some(key)) => format!("the secret {name} (key {key})"),
        ("configMapKeyRef" | "configMapRef", Some(name), None) => format!("the config map {name}"),
        ("configMapKeyRef" | "configMapRef", Some(name), Some(key)) => {
            format!("the config map {name} (key {key})")
        }
        (kind, ..) => match what["fieldPath"].as_str().or(what["resource"].as_str()) {
            Some(path) => format!("{kind} {path}"),
            None => kind.to_owned(),
        },
    }
}
