//! The texts that manifests are read from.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::UsageError;

/// The largest file that is read. A hundred thousand jobs take some 30 MB.
const MAX_BYTES: u64 = 256 << 20;

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// As people named it; `-` is standard input.
    pub(crate) shown: String,
    /// What identifies it between starts: its absolute path, or `-`.
    pub(crate) id: String,
}

/// What a command line names.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The files, each once, in the order given and by name within a folder.
    pub(crate) files: Vec<Source>,
    /// The ids of the paths themselves, files and folders.
    roots: Vec<String>,
}

impl Sources {
    /// Whether a source of that id would be among the files, if it existed.
    pub(crate) fn cover(&self, id: &str) -> bool {
        self.roots
            .iter()
            .any(|root| id == root || Path::new(id).parent().is_some_and(|parent| parent == Path::new(root)))
    }
}

/// The files behind the paths of a command line.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Sources, UsageError> {
    let mut sources = Sources::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        let (root, found) = if path.as_os_str() == "-" {
            ("-".to_owned(), vec![Source { shown: "-".to_owned(), id: "-".to_owned() }])
        } else {
            (id(path)?, files(path)?)
        };
        sources.roots.push(root);
        sources.files.extend(found.into_iter().filter(|source| seen.insert(source.id.clone())));
    }
    Ok(sources)
}

/// A file, or standard input for `-`, as people named it and its text. A path that can't be read is a mistake in the
/// arguments.
pub(crate) fn text(path: &Path) -> Result<(String, String), UsageError> {
    let source = if path.as_os_str() == "-" {
        Source { shown: "standard input".to_owned(), id: "-".to_owned() }
    } else {
        source(path)?
    };
    let text = source.read().map_err(|why| UsageError(format!("{}: {why}", source.shown)))?;
    Ok((source.shown, text))
}

fn files(path: &Path) -> Result<Vec<Source>, UsageError> {
    let shown = path.display();
    if !path.is_dir() {
        return Ok(vec![source(path)?]);
    }
    let mut files = BTreeSet::new();
    for entry in
        fs::read_dir(path).map_err(|why| UsageError(format!("{shown}: the folder can't be read: {why}")))?
    {
        let path =
            entry.map_err(|why| UsageError(format!("{shown}: the folder can't be read: {why}")))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest =
            path.extension().is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext == *known));
        if manifest && !hidden && path.is_file() {
            files.insert(path);
        }
    }
    if files.is_empty() {
        return Err(UsageError(format!("{shown}: the folder has no .yaml, .yml or .json file")));
    }
    files.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> Result<Source, UsageError> {
    Ok(Source { shown: path.display().to_string(), id: id(path)? })
}

fn id(path: &Path) -> Result<String, UsageError> {
    let shown = path.display();
    let id = fs::canonicalize(path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => UsageError(format!("{shown}: there is no such file or folder")),
        _ => UsageError(format!("{shown}: {why}")),
    })?;
    Ok(id.display().to_string())
}

impl Source {
    /// The whole text, or a sentence that says why there is none.
    pub(crate) fn read(&self) -> Result<String, String> {
        let mut bytes = Vec::new();
        let read = if self.id == "-" {
            io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
        } else {
            fs::File::open(&self.id).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        };
        read.map_err(|why| format!("it can't be read: {why}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("it has more than {} MiB; split it into several files", MAX_BYTES >> 20));
        }
        String::from_utf8(bytes).map_err(|why| {
            let line = why.as_bytes()[..why.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            format!("line {line} is not UTF-8; save the file as UTF-8")
        })
    }
}
