//! Finds or downloads a Rust compiler for browsers, with a standard library that is built for small size.
//!
//! rustup's standard library for browsers is built for speed and has panic messages, which makes the widget a third larger. So
//! the standard library is built from source with the widget, which takes a minute the first time. Cargo calls that unstable,
//! so the release must know the flags below: Rust 1.92 or later.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, path::Path, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::{debian, step};

/// Rust's name for browsers.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Flags that make the module small. A panic is a trap without a message, because nobody would read it on another's page. Source
/// locations, with paths of the build machine, are left out. Rust's own inliner, which is off when optimizing for size, is on,
/// because what it inlines mostly disappears (a sixth of the module). It takes functions that cost up to 30, not 50. LLVM's
/// inlines more than it would for size, 10 instead of 5, for the same reason (a hundredth). References to JavaScript objects are
/// off, so that one compilation works for browsers and for the translation to JavaScript. It is also smaller. The stack has 64 KB
/// instead of a megabyte, so that the addresses of what follows it are shorter. A call needs some hundred bytes of it.
const FLAGS: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zinline-mir=yes -Zinline-mir-threshold=30 -Cllvm-args=-inline-threshold=10 -Ctarget-feature=-reference-types -Clink-arg=-zstack-size=65536";

/// How long rustup may take to download the sources, 3 MB. If the network drops packets, rustup would try for a quarter of an
/// hour.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// How often to check whether rustup has ended.
const RUSTUP_POLL: Duration = Duration::from_millis(100);

/// What a person must do if neither way works.
const ADVICE: &str = "the sources of Rust's standard library are missing and could not be fetched; \
    please run `rustup component add rust-src` where rustup can download";

/// A cargo command that compiles for browsers. The caller adds the arguments.
///
/// rustup provides the sources of the standard library. Some machines can install packages but cannot reach rustup's server. On
/// Debian, a whole Rust from packages is unpacked below `root` instead.
pub(crate) fn cargo(root: &Path) -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let debian = root.join(debian::FOLDER);
    if !sources_are_installed()? && !debian.exists() {
        step("adding the sources of the standard library with rustup");
        if let Err(error) = add_sources_with_rustup() {
            step(&format!("that did not work: {error:#}"));
            debian::fetch(&debian).context(ADVICE)?;
        }
    }
    if !sources_are_installed()? {
        debian::equip(&mut cargo, &debian)?;
    }
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
    Ok(cargo)
}

/// The answer of the current rustc to a `--print` option.
pub(crate) fn rustc_print(question: &str) -> Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", question]).stderr(Stdio::inherit()).output().context("rustc")?;
    ensure!(output.status.success(), "`rustc --print {question}` failed ({})", output.status);
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

fn sources_are_installed() -> Result<bool> {
    Ok(rustc_print("sysroot")?.join("lib/rustlib/src/rust/library/Cargo.lock").exists())
}

fn add_sources_with_rustup() -> Result<()> {
    let rustup =
        Command::new("rustup").args(["component", "add", "rust-src"]).spawn().context("cannot start rustup")?;
    let status = wait(rustup, RUSTUP_LIMIT)?;
    ensure!(status.success(), "rustup failed ({status})");
    ensure!(sources_are_installed()?, "the Rust in use is not one of rustup's");
    Ok(())
}

/// Waits for a program to end. Kills it at the limit.
fn wait(mut program: Child, limit: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = program.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            program.kill()?;
            program.wait()?;
            bail!("it was not done after {} seconds", limit.as_secs());
        }
        thread::sleep(RUSTUP_POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_limit() {
        let endless = Command::new("sleep").arg("600").spawn().unwrap();
        let id = endless.id().to_string();
        let error = wait(endless, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("not done"), "{error}");
        let probe = Command::new("kill").args(["-0", &id]).stderr(Stdio::null()).status().unwrap();
        assert!(!probe.success(), "it still runs");
    }

    #[test]
    fn status_of_a_quick_program_is_returned() {
        let quick = Command::new("false").spawn().unwrap();
        let status = wait(quick, Duration::from_secs(60)).unwrap();
        assert!(!status.success());
    }
}
