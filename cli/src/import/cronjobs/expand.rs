//! `$(NAME)` in commands and variables, which Kubernetes expands before the container starts.

use crds::EnvVar;

/// The text with references to known variables replaced. `$$` is one `$`; a reference to an unknown variable stays.
pub(super) fn expand(text: &str, variables: &[EnvVar]) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.iter().find(|variable| variable.name == name) {
                Some(variable) => expanded.push_str(&variable.value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let variables = [EnvVar { name: "A".to_owned(), value: "b c".to_owned() }];
        for (text, expanded) in [
            ("x $(A) y", "x b c y"),
            ("$(A)$(A)", "b cb c"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$b c"),
            ("$(B) $A ${A} $", "$(B) $A ${A} $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &variables), expanded, "{text}");
        }
    }
}
