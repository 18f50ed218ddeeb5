// The value leaves by a custom message and the field is emptied in the same turn: it never becomes state.
// "Run All Cells" leaves the reader at the last cell; the guided page is what they came for. The keyboard
// goes there, too, unless somebody is writing or is at work on the page already.
function lead(guide) {
  if (!guide) return;
  guide.scrollIntoView({ block: "start" });
  const now = document.activeElement;
  const idle = !now || now === document.body || (now.closest(".jp-Cell") && !now.isContentEditable);
  if (idle && !guide.contains(now)) guide.querySelector("h1")?.focus({ preventScroll: true });
}
function render({ model, el }) {
  el.classList.add("bkr-secret");
  el.dataset.lmSuppressShortcuts = "true";
  const label = document.createElement("label");
  const input = document.createElement("input");
  const note = document.createElement("div");
  const id = `bkr-secret-${Math.random().toString(36).slice(2)}`;
  Object.assign(input, { type: "password", id, autocomplete: "new-password", spellcheck: false });
  label.htmlFor = id;
  note.id = `${id}-note`;
  note.className = "bkr-help";
  note.setAttribute("role", "status");
  input.setAttribute("aria-describedby", note.id);
  const send = () => {
    const secret = input.value;
    input.value = "";
    if (secret) model.send({ secret });
  };
  input.addEventListener("change", send);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") send();
    event.stopPropagation();
  });
  const show = () => {
    label.textContent = model.get("label");
    input.placeholder = model.get("placeholder");
    note.textContent = model.get("note");
  };
  model.on("change", show);
  show();
  el.append(label, input, note);
  setTimeout(() => lead(el.closest(".bkr-guide")), 500);
  return () => {
    input.value = "";
    model.off("change", show);
  };
}
export default { render };
