// The value leaves by a custom message and the field is emptied in the same turn: it never becomes state.
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
  // "Run All Cells" leaves the reader at the last cell; the guided page is what they came for.
  setTimeout(() => el.closest(".bkr-guide")?.scrollIntoView({ block: "start" }), 500);
  return () => {
    input.value = "";
    model.off("change", show);
  };
}
export default { render };
