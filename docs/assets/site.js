"use strict";
// Wide tables scroll by keyboard too: the theme wraps each in a box that cannot be focused.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset__table")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
