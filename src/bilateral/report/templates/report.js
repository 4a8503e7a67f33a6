"use strict";

/** Make an element: properties as given, names with a dash as attributes; children are elements or text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

{
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  const isDark = () => (chosen === null ? systemDark.matches : chosen === "dark");
  const show = () => {
    root.style.colorScheme = chosen ?? "";
    button.textContent = isDark() ? "Light theme" : "Dark theme";
  };
  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    show();
  });
  systemDark.addEventListener("change", show);
  button.hidden = false;
  show();
}

// What does not scroll is no stop for the keyboard; what goes on to the right fades there.
{
  const update = (box) => {
    const hidden = box.scrollWidth - box.clientWidth;
    if (hidden > 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    box.classList.toggle("more", hidden - box.scrollLeft > 1);
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => update(entry.target)));
  for (const box of document.querySelectorAll(".scroll")) {
    observer.observe(box);
    box.addEventListener("scroll", () => update(box), { passive: true });
  }
}

// On paper nothing can be opened.
{
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((details) => (details.open = false)));
}
