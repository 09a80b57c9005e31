//! Puts the built widget, the demo site and the manual into the binary.

mod manual;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // Here this is a link to `widget/dist`. In the packed crate it is a folder.
    let dist = here.join("widget");
    println!("cargo::rerun-if-changed=demo");
    println!("cargo::rerun-if-changed=docs");
    println!("cargo::rerun-if-changed={}", dist.display());
    let widget = files(&dist)?;
    if widget.is_empty() {
        let message = "the widget is not built; run `npx --yes rust-just widget` first (it needs Rust and Node 20)";
        if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
            println!("cargo::error={message}");
        } else {
            println!("cargo::warning={message}; this server cannot serve /live.js");
        }
    }
    let list = |name: &str, files: &[(String, PathBuf)]| {
        let entries: String =
            files.iter().map(|(name, path)| format!("    ({name:?}, include_bytes!({path:?})),\n")).collect();
        format!("static {name}: &[(&str, &[u8])] = &[\n{entries}];\n")
    };
    let code = list("WIDGET", &widget) + &list("DEMO", &files(&here.join("demo"))?);
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("files.rs"), code)?;
    fs::write(Path::new(&out).join("manual.rs"), manual::code(&here.join("docs"))?)
}

/// Name and path of every file in a folder. Empty if there is no such folder.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path().canonicalize()?));
        }
    }
    files.sort();
    Ok(files)
}
