//! Runs wasm-bindgen on the compiled module: out come `widget_bg.js`, the glue, and `widget.wasm`, which speak to each
//! other.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

/// Generates both files into `folder`.
pub(crate) fn generate(compiled: &Path, folder: &Path) -> Result<()> {
    let mut output = Bindgen::new()
        .input_path(compiled)
        .out_name("widget")
        // The kind of glue that knows nothing of loading: `npm/head.js` does that in a few lines.
        .bundler(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()?;
    output.emit(folder)?;
    let mut module = Module::from_file(folder.join("widget_bg.wasm"))?;
    // Only with references to objects, which our compiler flags rule out, is there anything to start.
    ensure!(module.exports.iter().all(|export| export.name != "__wbindgen_start"), "nobody starts the module");
    let glue_file = folder.join("widget_bg.js");
    let glue = fs::read_to_string(&glue_file).context("widget_bg.js")?;
    let glue = [&shorten_names(&mut module, follow_memory(&glue)?)?, DOM].concat();
    fs::write(&glue_file, glue).context("widget_bg.js")?;
    fs::write(folder.join("widget.wasm"), module.emit_wasm()).context("widget.wasm")
}

/// What the widget's crate calls `dom`: whatever its JavaScript made of the page (`npm/dom.js`).
const DOM: &str = "\nlet dom;\nexport function setDom(value) { dom = value; }\n";

/// Has the glue see when the module's memory has grown. It only knows of memories that are detached then, as those of wasm are;
/// in the translation to JavaScript another one takes its place, and the old one stays as it was.
fn follow_memory(glue: &str) -> Result<String> {
    let mut followed = String::new();
    let mut rest = glue;
    while let Some((before, after)) = rest.split_once(".byteLength === 0") {
        followed.push_str(before);
        followed.push_str(".buffer !== wasm.memory.buffer");
        rest = after;
    }
    ensure!(!followed.is_empty(), "the glue has no views of the memory that could be old");
    Ok(followed + rest)
}

/// Renames what the module and the glue call each other by, and returns the glue with the new names.
///
/// wasm-bindgen ends every name with a hash, in both files, and hashes do not compress: they are a tenth of what a
/// reader downloads.
fn shorten_names(module: &mut Module, mut glue: String) -> Result<String> {
    let mut renames = Vec::new();
    for (number, import) in module.imports.iter_mut().enumerate() {
        let short = format!("i{number}");
        renames.push((import.name.clone(), short.clone()));
        import.name = short;
    }
    // Libraries export more than we use, and what is exported stays.
    let unused: Vec<_> =
        module.exports.iter().filter(|export| !calls(&glue, &export.name)).map(|export| export.id()).collect();
    unused.into_iter().for_each(|id| module.exports.delete(id));
    for (number, export) in module.exports.iter_mut().enumerate() {
        let short = format!("e{number}");
        // Some exports are plain words, such as `start`, so only their use is renamed.
        renames.push((format!("wasm.{}", export.name), format!("wasm.{short}")));
        export.name = short;
    }
    // The longest first, in case one name is the beginning of another.
    renames.sort_by_key(|(long, _)| Reverse(long.len()));
    for (long, short) in renames {
        ensure!(long.starts_with("wasm.") || glue.contains(&long), "the glue does not provide `{long}`");
        glue = glue.replace(&long, &short);
    }
    Ok(glue)
}

/// Whether the glue uses the export with this name.
fn calls(glue: &str, name: &str) -> bool {
    glue.match_indices(&format!("wasm.{name}")).any(|(at, found)| {
        !glue
            .get(at + found.len()..)
            .unwrap_or_default()
            .starts_with(|next: char| next.is_alphanumeric() || next == '_')
    })
}

#[cfg(test)]
mod tests {
    use walrus::{FunctionBuilder, ModuleConfig};

    use super::*;

    /// A module with one import and, for each name, an export of it.
    fn module(import: &str, exports: &[&str]) -> Module {
        let mut module = Module::with_config(ModuleConfig::new());
        let signature = module.types.add(&[], &[]);
        module.add_import_func("./widget_bg.js", import, signature);
        for name in exports {
            let function = FunctionBuilder::new(&mut module.types, &[], &[]).finish(vec![], &mut module.funcs);
            module.exports.add(name, function);
        }
        module
    }

    #[test]
    fn views_of_memory_that_was_replaced_are_renewed() {
        let glue = "if (cached === null || cached.byteLength === 0) { cached = new Uint8Array(wasm.memory.buffer); }";
        let followed = follow_memory(glue).unwrap();
        assert!(followed.contains("|| cached.buffer !== wasm.memory.buffer)"), "{followed}");
        assert!(follow_memory("no views").is_err());
    }

    #[test]
    fn both_sides_get_the_same_short_names() {
        let mut module = module("__wbg_now_0123abcd", &["start", "__wbindgen_start"]);
        let glue = "export function start() { wasm.start(); }\n\
                    wasm.__wbindgen_start(); const i = { __wbg_now_0123abcd: function() {} };";
        let glue = shorten_names(&mut module, glue.to_owned()).unwrap();
        assert_eq!(glue, "export function start() { wasm.e0(); }\nwasm.e1(); const i = { i0: function() {} };");
        assert_eq!(module.imports.iter().map(|import| import.name.as_str()).collect::<Vec<_>>(), ["i0"]);
        assert_eq!(module.exports.iter().map(|export| export.name.as_str()).collect::<Vec<_>>(), ["e0", "e1"]);
    }

    #[test]
    fn name_that_begins_with_another_stays_whole() {
        let mut module = module("now", &["stop", "stop_all"]);
        let glue = shorten_names(&mut module, "now wasm.stop_all() wasm.stop()".to_owned()).unwrap();
        assert_eq!(glue, "i0 wasm.e1() wasm.e0()");
    }

    #[test]
    fn import_without_provider_is_an_error() {
        let mut module = module("__wbg_now_0123abcd", &[]);
        assert!(shorten_names(&mut module, "const i = {};".to_owned()).is_err());
    }
}
