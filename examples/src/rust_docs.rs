//! Where the Rust documentation is that rustup installs with a toolchain: thousands of real pages to try the widget on.

use std::{path::PathBuf, process::Command};

/// What to say when the documentation is not there.
pub(crate) const MISSING: &str =
    "The Rust documentation is not installed, so /rust-docs/ is empty. To install it: rustup component add rust-docs";

/// The folder of the installed documentation, if there is any.
pub(crate) fn installed() -> Option<PathBuf> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(rustc.stdout).ok()?.trim_end());
    let docs = sysroot.join("share/doc/rust/html");
    docs.join("index.html").is_file().then_some(docs)
}
