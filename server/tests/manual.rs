//! The manual quotes log lines and warnings. These tests check that the programs contain them.

#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::{fs, path::Path};

/// All source with texts for site owners and operators.
fn sources() -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = ["server/src", "server/runtime/src", "widget/src", "widget/npm"];
    let mut all = String::new();
    for folder in folders {
        add(&workspace.join(folder), &mut all);
    }
    // A text that continues on the next line is one text.
    all.split('\\').map(str::trim_start).collect()
}

fn add(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "js") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn console_lines_quoted_in_the_manual_exist_in_the_sources() {
    let sources = sources();
    let page = include_str!("../docs/no-number.md");
    let rows =
        page.lines().skip_while(|line| *line != "## A line on the console").filter(|line| line.starts_with("| `"));
    let quoted: Vec<_> = rows
        .filter(|line| !line.contains("the browser's own words"))
        .map(|line| line.split('`').nth(1).unwrap())
        .collect();
    assert!(quoted.len() > 8, "{quoted:?}");
    let unsaid: Vec<_> = quoted.iter().filter(|line| !sources.contains(**line)).collect();
    assert!(unsaid.is_empty(), "the manual quotes lines that no program prints: {unsaid:?}");
}
