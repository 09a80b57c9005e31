// The demo's start page: composes the embed tag from the address the reader came by and the options they choose, shows it at
// work, and copies it. The counts on the page are not its business; they are drawn by /live.js like on any other site.

/** Milliseconds without a change after which the preview is loaded again: longer than between two keys. */
const PAUSE_MS = 400;
/** Options that would lead the preview to another server. */
const NOT_PREVIEWED = new Set(["server", "path"]);

const at = (id) => document.getElementById(id);
const [tag, copy, form, preview, status] = ["tag", "copy", "options", "preview", "status"].map(at);
let pause;

/** The options that differ from their defaults, which are what the form begins with. Invalid ones are left out. */
function chosen() {
  const options = [];
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.name === "links") field.setCustomValidity(isSelector(field.value) ? "" : "This is no CSS selector.");
    field.setAttribute("aria-invalid", String(!field.validity.valid));
    if (!field.validity.valid) continue;
    if (field.type === "checkbox") {
      if (field.checked) options.push([field.name, ""]);
    } else if (field.value !== standard(field)) options.push([field.name, field.value]);
  }
  return options;
}

const standard = (field) => (field.options ? field.options[0].value : field.defaultValue);

function isSelector(text) {
  try {
    document.createDocumentFragment().querySelector(text);
    return true;
  } catch {
    return false;
  }
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");

/** The tag with these options. Only the browser knows the public address: behind a proxy the server sees another host. */
function written(options) {
  const attributes = options.map(([name, value]) => (value === "" ? ` data-${name}` : ` data-${name}="${escaped(value)}"`));
  return `<script async src="${location.origin}/live.js"${attributes.join("")}></script>`;
}

function update() {
  const options = chosen();
  const text = written(options);
  const isNew = tag.textContent !== text;
  tag.textContent = text;
  copy.textContent = "Copy";
  const wrong = form.querySelectorAll('[aria-invalid="true"]').length;
  const left = wrong ? ` ${wrong} not valid, and left out.` : "";
  if (isNew || wrong) status.textContent = `The tag has ${options.length} options.${left}`;
  const shown = options.filter(([name]) => !NOT_PREVIEWED.has(name));
  const address = `/pages/preview?${new URLSearchParams(shown)}`;
  if (preview.dataset.address === address) return;
  preview.dataset.address = address;
  // Not a new entry for the back button.
  preview.contentWindow.location.replace(address);
}

at("json").href = `/parties/counter/${encodeURIComponent(location.host)}`;
at("configurator").hidden = false;
update();
form.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(update, PAUSE_MS);
});
// The fields have their defaults only after this event.
form.addEventListener("reset", () => setTimeout(update));
form.addEventListener("submit", (event) => event.preventDefault());

// The clipboard exists in secure contexts only; elsewhere the tag can still be selected by hand.
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    clearTimeout(pause);
    update();
    try {
      await navigator.clipboard.writeText(tag.textContent);
      copy.textContent = "Copied";
      status.textContent = "The tag is copied.";
    } catch {
      getSelection().selectAllChildren(tag);
      copy.textContent = "Press Ctrl+C";
    }
  });
}
