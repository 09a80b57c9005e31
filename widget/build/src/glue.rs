//! Runs wasm-bindgen on the compiled module, and gives all that crosses the names and the order that `npm/wasm.js` expects.
//!
//! Of wasm-bindgen's own JavaScript, only the shape of each function is read: whether it takes or returns a text. All others
//! take and return numbers, and need no function of their own. Such functions would be a tenth of what a reader downloads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

/// What `npm/wasm.js` needs to pass a text: the memory, and the function that allocates in it.
const HELPERS: [(&str, &str); 2] = [("memory", "memory"), ("__wbindgen_malloc", "malloc")];
/// Names that stay as they are: of the browser's own functions, of an option, of what another copy of our code may call.
const TAKEN: &str = "at attach close count detach disconnect end length open random search send slot start stop tab text total wait warn";

/// Generates `widget.wasm` and `names.json`, the short name of each function that crosses, into `folder`.
pub(crate) fn generate(compiled: &Path, folder: &Path) -> Result<()> {
    let mut output = Bindgen::new()
        .input_path(compiled)
        .out_name("widget")
        .bundler(true)?
        .typescript(false)
        .demangle(false)
        .remove_producers_section(true)
        .generate_output()?;
    output.emit(folder)?;
    let mut module = Module::from_file(folder.join("widget_bg.wasm"))?;
    // A start function is only needed with references to objects, which our compiler flags turn off.
    ensure!(module.exports.iter().all(|export| export.name != "__wbindgen_start"), "nobody starts the module");
    let bindgen = fs::read_to_string(folder.join("widget_bg.js")).context("widget_bg.js")?;
    let names = shorten(&mut module, &bindgen)?;
    let pairs: Vec<_> = names.iter().map(|(name, short)| format!("\"{name}\":\"{short}\"")).collect();
    fs::write(folder.join("names.json"), format!("{{{}}}", pairs.join(","))).context("names.json")?;
    fs::write(folder.join("widget.wasm"), module.emit_wasm()).context("widget.wasm")
}

/// How a function of `npm/dom.js` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// With one text, as its position and its length.
    TakesText,
    /// With the position at which to write the text that it returns.
    AnswersText,
    /// With numbers. It returns a number or nothing.
    Numbers,
}

impl Call {
    /// The name of the module of such imports in `npm/wasm.js`.
    fn module(self) -> &'static str {
        match self {
            Self::TakesText => "t",
            Self::AnswersText => "a",
            Self::Numbers => "n",
        }
    }
}

/// Gives all imports and exports names of one letter, where they may have them, and returns these by the names of the functions.
///
/// wasm-bindgen ends every name with a hash, in both files, and hashes do not compress.
fn shorten(module: &mut Module, bindgen: &str) -> Result<BTreeMap<String, String>> {
    // The last two are letters to JavaScript.
    let mut letters = ('a'..='z').chain('A'..='Z').chain(['$', '_']);
    let mut names = BTreeMap::new();
    let mut short = |name: &str| {
        let is_taken = TAKEN.split(' ').any(|taken| taken == name);
        let letter = if is_taken { None } else { letters.next() };
        let short = letter.map_or_else(|| name.to_owned(), String::from);
        names.insert(name.to_owned(), short.clone());
        short
    };
    for import in module.imports.iter_mut() {
        let (name, call) = read_call(body_of(bindgen, &import.name)?).with_context(|| import.name.clone())?;
        import.module = call.module().into();
        import.name = short(name);
    }
    let exports: Vec<_> = module.exports.iter().map(|export| (export.id(), export.name.clone())).collect();
    for (id, name) in exports {
        // Libraries export more than we use, and all exports are kept.
        let short = match HELPERS.iter().find(|(helper, _)| *helper == name) {
            Some((_, short)) => (*short).to_owned(),
            None if name.starts_with("__") => {
                module.exports.delete(id);
                continue;
            }
            None => {
                let body = body_of(bindgen, &name)?;
                ensure!(is_entry(body, &name), "`npm/wasm.js` cannot call `{name}`: {body}");
                short(&name)
            }
        };
        module.exports.get_mut(id).name = short;
    }
    Ok(names)
}

/// The body of a function in wasm-bindgen's JavaScript.
fn body_of<'a>(bindgen: &'a str, name: &str) -> Result<&'a str> {
    let start = format!("export function {name}(");
    let (_, after) = bindgen.split_once(&start).with_context(|| format!("the glue does not provide `{name}`"))?;
    let (function, _) = after.split_once("\n}\n").context("a function without an end")?;
    Ok(function.split_once("{\n").context("a function without a body")?.1)
}

/// The function of `npm/dom.js` that is called, and how.
fn read_call(body: &str) -> Result<(&str, Call)> {
    let (_, after) = body.split_once("dom.").context("it is none of `npm/dom.js`")?;
    let (name, arguments) = after.split_once('(').context("it is no call")?;
    let (arguments, after) = arguments.split_once(");").context("its arguments have no end")?;
    let call = if arguments == "getStringFromWasm0(arg0, arg1)" {
        Call::TakesText
    } else if arguments.is_empty() && after.contains("passStringToWasm0(ret") {
        Call::AnswersText
    } else {
        Call::Numbers
    };
    // Conversions of numbers that small numbers and booleans do not need.
    let is_number = |argument: &str| {
        let argument = argument.trim_end_matches(" >>> 0").trim_end_matches(" !== 0");
        argument.strip_prefix("arg").is_some_and(|number| number.parse::<u8>().is_ok())
    };
    let is_plain =
        matches!(after.trim(), "" | "return ret;") && arguments.split(", ").all(|one| one.is_empty() || is_number(one));
    if call == Call::Numbers && !is_plain || call == Call::TakesText && !matches!(after.trim(), "" | "return ret;") {
        bail!("`npm/wasm.js` does not know how to call it: {body}");
    }
    Ok((name, call))
}

/// Whether a function of the module is called with its parameters in order: numbers as they are, and texts as two numbers.
fn is_entry(body: &str, name: &str) -> bool {
    let Some((_, call)) = body.split_once(&format!("wasm.{name}(")) else { return false };
    let Some((_, after)) = call.split_once(");") else { return false };
    // Nobody minds that a boolean is 0 or 1.
    matches!(after.trim(), "" | "return ret;" | "return ret !== 0;")
}

#[cfg(test)]
mod tests {
    use walrus::{FunctionBuilder, ModuleConfig};

    use super::*;

    const BINDGEN: &str = "export function start(a) {\n    const ptr0 = passStringToWasm0(a, wasm.__wbindgen_malloc);\n    const len0 = WASM_VECTOR_LEN;\n    wasm.start(ptr0, len0);\n}\n\
        export function lost() {\n    const ret = wasm.lost();\n    return ret;\n}\n\
        export function __wbg_place_1(arg0, arg1) {\n    const ret = dom.place(arg0 >>> 0, arg1 !== 0);\n    return ret;\n}\n\
        export function __wbg_send_2(arg0, arg1) {\n    dom.send(getStringFromWasm0(arg0, arg1));\n}\n\
        export function __wbg_here_3(arg0) {\n    const ret = dom.here();\n    const ptr1 = passStringToWasm0(ret, wasm.__wbindgen_malloc);\n}\n\
        export function __wbg_take_4(arg0) {\n    dom.take(getObject(arg0));\n}\n";

    /// A module with these imports and exports.
    fn module(imports: &[&str], exports: &[&str]) -> Module {
        let mut module = Module::with_config(ModuleConfig::new());
        let signature = module.types.add(&[], &[]);
        for name in imports {
            module.add_import_func("./widget_bg.js", name, signature);
        }
        for name in exports {
            let function = FunctionBuilder::new(&mut module.types, &[], &[]).finish(vec![], &mut module.funcs);
            module.exports.add(name, function);
        }
        module
    }

    #[test]
    fn imports_tell_how_they_are_called_and_names_are_short() {
        let exports = ["__wbindgen_malloc", "start", "__wbindgen_free", "lost"];
        let mut module = module(&["__wbg_place_1", "__wbg_here_3", "__wbg_send_2"], &exports);
        let names = shorten(&mut module, BINDGEN).unwrap();
        let imports: Vec<_> =
            module.imports.iter().map(|import| (import.module.as_str(), import.name.as_str())).collect();
        assert_eq!(imports, [("n", "a"), ("a", "b"), ("t", "send")]);
        let exports: Vec<_> = module.exports.iter().map(|export| export.name.as_str()).collect();
        assert_eq!(exports, ["malloc", "start", "c"]);
        let names: Vec<_> = names.iter().map(|(name, short)| (name.as_str(), short.as_str())).collect();
        assert_eq!(names, [("here", "b"), ("lost", "c"), ("place", "a"), ("send", "send"), ("start", "start")]);
    }

    #[test]
    fn functions_that_cannot_be_called_are_an_error() {
        assert!(shorten(&mut module(&["__wbg_take_4"], &[]), BINDGEN).is_err(), "it takes an object");
        assert!(shorten(&mut module(&["__wbg_gone_5"], &[]), BINDGEN).is_err(), "nobody provides it");
        assert!(shorten(&mut module(&[], &["stop"]), BINDGEN).is_err(), "nobody calls it");
    }
}
