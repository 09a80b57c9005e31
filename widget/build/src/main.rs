//! Builds the widget, from Rust to the files in `widget/dist`:
//!
//! ```text
//! widget/src ── cargo ─▶ module ── wasm-bindgen ─▶ module, names ── bundle.mjs: wasm-opt, wasm2js, esbuild, terser ─▶ widget/dist
//!
//! widget/dist/live.js            the script tag, which loads the rest from beside itself
//! widget/dist/live-<hash>.js     the widget; others of these are the widget for pages that pin it, and the module where wasm is refused
//! widget/dist/live-<hash>.wasm   the module
//! widget/dist/pinned             name and integrity of the pinned widget, for the server to print
//! widget/dist/npm/               the npm package, with the module inside index.js, and beside slim.js
//! ```
//!
//! The JavaScript in `widget/npm` imports the intermediate results by names that only `bundle.mjs` knows: `widget-wasm` and
//! `widget-plain`. Every step prints what it does. If no input has changed since the last build, nothing is done.

mod debian;
mod digest;
mod glue;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use connection_counter_protocol::wire;

/// The target folder for everything that is compiled for browsers. It is a separate folder, because the flags differ so much
/// that each build would delete the other's work.
const TARGET_FOLDER: &str = "target/wasm";

/// Where a finished build notes what it read and wrote.
const RECORD: &str = "target/wasm/built";

/// npm's commands are batch files on Windows, which need their full name.
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("widget: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let target_folder = root.join(TARGET_FOLDER);
    let build_folder = root.join("widget/build");

    let compiled = compile(&root, &target_folder)?;

    let sources = root.join("widget/npm");
    let dist = root.join("widget/dist");
    let state = || {
        let build = [build_folder.join("bundle.mjs"), build_folder.join("package-lock.json"), std::env::current_exe()?];
        digest::of([&compiled, &sources, &dist].into_iter().chain(&build))
    };
    let record = root.join(RECORD);
    if let (Ok(built), Ok(found)) = (fs::read_to_string(&record), state())
        && built == found
    {
        step("widget/dist is up to date");
        return Ok(());
    }

    install_programs_from_npm(&build_folder)?;

    step("binding the module with wasm-bindgen");
    let glue_folder = target_folder.join("glue");
    glue::generate(&compiled, &glue_folder)?;

    step("shrinking the module with wasm-opt, bundling with esbuild");
    let mut bundle = Command::new("node");
    bundle.arg(build_folder.join("bundle.mjs")).args([&glue_folder, &sources, &dist]).arg(words());
    run(&mut bundle)?;

    fs::write(&record, state()?)?;
    step("done: widget/dist/live.js and its module, widget/dist/npm");
    Ok(())
}

/// The words of the messages that the JavaScript needs, as JSON. They come from the protocol crate.
fn words() -> String {
    let pairs = [("WIRE_TYPE", wire::TYPE), ("WIRE_UPDATE", wire::UPDATE), ("WIRE_CONNECTIONS", wire::CONNECTIONS)];
    let defined: Vec<_> = pairs.map(|(name, word)| format!(r#""{name}":"'{word}'""#)).into();
    format!("{{{}}}", defined.join(","))
}

/// Compiles the widget crate and returns the module's path.
fn compile(root: &Path, target_folder: &Path) -> Result<PathBuf> {
    let mut cargo = toolchain::cargo(root)?;
    step("compiling for browsers (the first time takes a minute or two, with the standard library)");
    cargo.current_dir(root).args(["build", "--package", "connection-counter-widget", "--lib", "--profile", "widget"]);
    run(cargo.args(["--target", toolchain::TARGET, "--target-dir"]).arg(target_folder))?;
    Ok(target_folder.join(toolchain::TARGET).join("widget/connection_counter_widget.wasm"))
}

/// Installs wasm-opt, esbuild and terser in the versions of the lock file, unless that was done since the lock file last changed.
fn install_programs_from_npm(build_folder: &Path) -> Result<()> {
    let modified = |file: &str| fs::metadata(build_folder.join(file)).and_then(|metadata| metadata.modified());
    let locked = modified("package-lock.json").context("widget/build/package-lock.json")?;
    // npm writes this file at the end of every install.
    if modified("node_modules/.package-lock.json").is_ok_and(|installed| installed >= locked) {
        return Ok(());
    }
    step("installing wasm-opt, esbuild and terser from npm");
    run(Command::new(NPM).current_dir(build_folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
}

/// Prints a step that may take a while.
fn step(what: &str) {
    println!("widget: {what}");
}

/// Runs a program with its output on ours. It fails unless the program succeeds.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start `{program}`, is it installed?"))?;
    ensure!(status.success(), "`{program}` failed ({status})");
    Ok(())
}
