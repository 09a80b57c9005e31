//! The second source of a Rust for browsers: the one that Debian builds its web browsers with.
//!
//! Nothing is installed. The packages are unpacked into a folder of ours, which needs no rights and cannot get into the
//! way of the machine's own Rust.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::toolchain::rustc_print;
use crate::{run, step};

/// The compiler and the sources of its standard library; apt adds what they depend on.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Where the packages are unpacked, about 840 MB.
pub(crate) const FOLDER: &str = "target/wasm-toolchain";

/// Makes a cargo compile with Debian's Rust.
pub(crate) fn equip(cargo: &mut Command, folder: &Path) -> Result<()> {
    let libraries = folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    cargo.env("RUSTC", folder.join("usr/bin/rustc")).env("LD_LIBRARY_PATH", libraries);
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?);
    Ok(())
}

/// The linker for browsers, which every toolchain of rustup's contains and Debian's Rust does not.
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
    // apt-get expects its own `partial` inside.
    fs::create_dir_all(archives.join("partial"))?;

    step("downloading Debian's Rust for browsers with apt-get, 140 MB");
    // On a fresh machine apt's lists are missing or old. Only root can renew them; for others they may be good enough.
    Command::new("apt-get").arg("update").stdout(Stdio::null()).status().context("cannot start apt-get")?;
    let mut into_archives = OsString::from("Dir::Cache::archives=");
    into_archives.push(&archives);
    let mut download = Command::new("apt-get");
    download.args(["install", "--download-only", "--yes", "--no-install-recommends"]).arg("-o").arg(into_archives);
    // The lock is root's, and there is nothing to protect in a folder of our own.
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
