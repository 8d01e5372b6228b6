//! The programs of Kubernetes, from its Go module.

use std::process::Command;

use anyhow::{Context, bail};

use super::KUBERNETES;
use super::folder::Folder;
use super::go::Throwaway;
use crate::child::Children;

pub(super) const MODULE: &str = "k8s.io/kubernetes";

/// Builds one program. The first takes minutes, the others share its packages.
pub(super) fn make(folder: &Folder, children: &mut Children, name: &str) -> anyhow::Result<String> {
    let module = Throwaway::new(folder)?;
    let modules = module.get(children, name, &format!("{MODULE}@{KUBERNETES}"))?;
    let manifest = output(children, module.go(&["list", "-m", "-f", "{{.GoMod}}", MODULE]))?;
    let manifest =
        std::fs::read_to_string(manifest.trim()).context("the go.mod of Kubernetes can't be read")?;
    let version = library_version(KUBERNETES).context("a version of Kubernetes begins with v1")?;
    let mut edit = module.go(&["mod", "edit"]);
    for library in libraries(&manifest) {
        edit.arg("-replace").arg(format!("{library}={library}@{version}"));
    }
    output(children, edit)?;
    let values = format!(
        "-X k8s.io/component-base/version.gitVersion={KUBERNETES} \
         -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
    );
    module.install(folder, children, name, &format!("{MODULE}/cmd/{name}"), modules, &values)
}

/// Kubernetes names its own libraries by a version that no one has published, and replaces them by folders of its
/// repository. Those are published as `v0.<minor>.<patch>`.
fn library_version(kubernetes: &str) -> Option<String> {
    Some(format!("v0{}", kubernetes.strip_prefix("v1")?))
}

/// The modules that a go.mod asks for in the version v0.0.0.
fn libraries(manifest: &str) -> impl Iterator<Item = &str> {
    manifest.lines().filter_map(|line| line.trim().strip_suffix(" v0.0.0"))
}

fn output(children: &mut Children, command: Command) -> anyhow::Result<String> {
    let line = format!("{command:?}");
    let mut text = String::new();
    let status = children.run(command, |said| {
        text.push_str(said);
        text.push('\n');
        false
    })?;
    if status.success() { Ok(text) } else { bail!("{line}: {status}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_kubernetes_are_taken_in_the_versions_that_are_published() {
        let manifest = "module k8s.io/kubernetes\n\nrequire (\n\tgithub.com/x/y v0.0.0-2024\n\tk8s.io/api v0.0.0\n\
                        \tk8s.io/klog/v2 v2.130.1\n\tk8s.io/kubectl v0.0.0\n)\n\
                        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        assert_eq!(libraries(manifest).collect::<Vec<_>>(), ["k8s.io/api", "k8s.io/kubectl"]);
        assert_eq!(library_version("v1.34.4").as_deref(), Some("v0.34.4"));
    }
}
