//! The second source of a Rust compiler for browsers: the packages with which Debian builds its web browsers.
//!
//! Nothing is installed. The packages are unpacked into a folder, which needs no rights and does not affect the machine's own
//! Rust.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::toolchain::rustc_print;
use crate::{run, step};

/// The compiler and the sources of its standard library. apt adds their dependencies.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// The folder of the unpacked packages, about 840 MB.
pub(crate) const FOLDER: &str = "target/wasm-toolchain";

/// Makes a cargo command use Debian's Rust.
pub(crate) fn equip(cargo: &mut Command, folder: &Path) -> Result<()> {
    let libraries = folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    cargo.env("RUSTC", folder.join("usr/bin/rustc")).env("LD_LIBRARY_PATH", libraries);
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?);
    Ok(())
}

/// The linker for browsers. rustup's toolchains contain it, but Debian's Rust does not.
fn linker() -> Result<PathBuf> {
    let host = rustc_print("host-tuple")?;
    let linker = rustc_print("sysroot")?.join("lib/rustlib").join(host).join("bin/rust-lld");
    ensure!(linker.exists(), "{} does not exist", linker.display());
    Ok(linker)
}

/// Downloads the packages and unpacks them. The folder gets its name only when it is complete.
pub(crate) fn fetch(folder: &Path) -> Result<()> {
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let archives = partial.join("archives");
    // apt-get needs a folder `partial` inside.
    fs::create_dir_all(archives.join("partial"))?;

    step("downloading Debian's Rust for browsers with apt-get, 140 MB");
    // On a new machine apt's lists are missing or old. Only root can update them. For others they may be good enough.
    Command::new("apt-get").arg("update").stdout(Stdio::null()).status().context("cannot start apt-get")?;
    let mut into_archives = OsString::from("Dir::Cache::archives=");
    into_archives.push(&archives);
    let mut download = Command::new("apt-get");
    download.args(["install", "--download-only", "--yes", "--no-install-recommends"]).arg("-o").arg(into_archives);
    // Only root can take apt's lock, and this folder needs none.
    run(download.args(["-o", "Debug::NoLocking=true"]).args(PACKAGES))?;

    step("unpacking it");
    for archive in fs::read_dir(&archives)? {
        let archive = archive?.path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").args([&archive, &partial]))?;
        }
    }
    fs::remove_dir_all(&archives)?;
    Ok(fs::rename(&partial, folder)?)
}
