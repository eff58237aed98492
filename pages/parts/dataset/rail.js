// Filters with counts; a press tells the server which choice was switched.

export default function ({ parentElement, data, setTriggerValue }) {
  const rail = parentElement.querySelector(".rail");
  const focused = parentElement.activeElement?.dataset?.id; // the rail is drawn anew; the keyboard stays where it was
  rail.replaceChildren(...data.groups.map((group) => {
    const field = make("fieldset"), most = Math.max(1, ...group.choices.map((choice) => choice.n));
    field.append(make("legend", group.title), ...group.choices.map((choice) => {
      const button = make("button");
      button.type = "button";
      button.dataset.id = `${group.key} ${choice.value}`;
      button.setAttribute("aria-pressed", choice.on);
      button.style.setProperty("--share", `${(100 * choice.n) / most}%`);
      button.append(make("span", choice.label), " ", make("span", choice.n.toLocaleString("en")));
      button.onclick = () => setTriggerValue("picked", { key: group.key, value: choice.value });
      return button;
    }));
    return field;
  }));
  if (focused) rail.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}
