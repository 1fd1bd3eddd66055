//! The layers depend on each other one way only, and only one of them knows the databases.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each layer with those that it may use. `error` is the leaf.
const LAYERS: [(&str, &[&str]); 11] = [
    ("error", &[]),
    ("convention", &["error"]),
    ("hooks", &["error"]),
    ("config", &["error", "hooks"]),
    ("backend", &["error", "hooks", "config"]),
    ("pool", &["error", "hooks", "config", "backend"]),
    ("session", &["error", "hooks", "config", "backend", "pool", "convention"]),
    ("lifecycle", &["session"]),
    ("query", &["error", "backend", "session", "convention"]),
    ("dao", &["error", "backend", "session", "convention", "query"]),
    ("integrations", &["error", "hooks", "backend", "pool", "session", "lifecycle"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable source folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layer that a file belongs to: its folder under `src`, or its own name.
fn layer_of(path: &Path) -> String {
    let inside = path.strip_prefix(source_folder()).expect("a file under src");
    let first = inside.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: its tests and comments may speak of anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The layers named in `crate::layer` and in `crate::{layer, …}`.
fn layers_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut name = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => name.clear(),
                    ':' if depth == 1 && !name.is_empty() => {
                        used.insert(std::mem::take(&mut name));
                    }
                    c if depth == 1 && (c.is_alphanumeric() || c == '_') => name.push(c),
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            used.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used
}

#[test]
fn every_dependency_points_one_way() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    let mut wrong = Vec::new();
    for path in sources(&source_folder()) {
        let layer = layer_of(&path);
        // Programs use what is public.
        if ["lib", "prelude", "bin"].contains(&layer.as_str()) {
            continue;
        }
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == layer)
            .expect("every file is in a layer: say above what a new one may use");
        for used in layers_used(&code(&path)) {
            if known.contains(used.as_str()) && used != layer && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {layer} must not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_backend_knows_the_databases() {
    let mut wrong = Vec::new();
    for path in sources(&source_folder()) {
        if layer_of(&path) == "backend" {
            continue;
        }
        for (number, line) in code(&path).lines().enumerate() {
            let names_one = ["feature = \"sqlite\"", "feature = \"postgres\"", "feature = \"mysql\"", "DbBackend::"]
                .iter()
                .any(|name| line.contains(name));
            if names_one {
                wrong.push(format!("{}, code line {}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let long: Vec<String> = sources(&source_folder())
        .into_iter()
        .map(|path| (fs::read_to_string(&path).expect("a readable source file").lines().count(), path))
        .filter(|(lines, _)| *lines > 400)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_check_sees_what_it_should() {
    let used =
        layers_used("use crate::{\n    dao::BaseDao,\n    error::{Error, Result},\n};\nfn f() { crate::pool::g() }");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["dao", "error", "pool"]);
}
