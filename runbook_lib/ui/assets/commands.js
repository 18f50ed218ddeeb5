// Lines are set as text, never as markup.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain http the clipboard API is closed; this older way still works there.
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
function button(text, label, done, lines) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "bkr-copy", textContent: text });
  made.setAttribute("aria-label", label);
  made.addEventListener("click", async () => {
    await copy(lines);
    made.textContent = done;
    setTimeout(() => (made.textContent = text), 1500);
  });
  return made;
}
function render({ model, el }) {
  el.classList.add("bkr-commands");
  const show = () => {
    const lines = model.get("lines");
    el.replaceChildren();
    el.style.display = lines.length ? "" : "none";
    if (!lines.length) return;
    const head = document.createElement("div");
    head.className = "bkr-commands-head";
    const title = Object.assign(document.createElement("b"), { textContent: model.get("title") });
    const done = model.get("copied_label");
    head.append(title, button(model.get("all_label"), model.get("all_label"), done, lines.join("\n")));
    el.append(head);
    for (const line of lines) {
      const row = Object.assign(document.createElement("div"), { className: "bkr-command" });
      const code = Object.assign(document.createElement("code"), { textContent: line, tabIndex: 0 });
      code.setAttribute("role", "group");
      code.setAttribute("aria-label", model.get("title"));
      const label = `${model.get("copy_label")}: ${line.slice(0, 60)}`;
      row.append(code, button(model.get("copy_label"), label, done, line));
      el.append(row);
    }
  };
  model.on("change", show);
  show();
  return () => model.off("change", show);
}
export default { render };
