//! Finds the Rust documentation that rustup installs with a toolchain. Its thousands of real pages test the widget.

use std::{path::PathBuf, process::Command};

/// The message if the documentation is not installed.
pub(crate) const MISSING: &str =
    "The Rust documentation is not installed, so /rust-docs/ is empty. To install it: rustup component add rust-docs";

/// The folder of the installed documentation, if there is one.
pub(crate) fn installed() -> Option<PathBuf> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(rustc.stdout).ok()?.trim_end());
    let docs = sysroot.join("share/doc/rust/html");
    docs.join("index.html").is_file().then_some(docs)
}
