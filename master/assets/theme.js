// Light or dark, as the system has it. In the head of the page, so that it is decided before the first paint.
"use strict";

{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const set = () => { document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  set();
  dark.addEventListener("change", set);
}
