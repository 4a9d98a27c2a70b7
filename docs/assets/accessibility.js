/* For screen readers and keyboards, beside what the theme does: landmarks have names of their own (the buttons of each
   block of code, the path above a page, the parts of a page's contents), and wide tables can be scrolled by keys. */
function name(selector, label) {
  document.querySelectorAll(selector).forEach((node, i) => node.setAttribute("aria-label", label(i + 1)));
}

function mend() {
  name(".md-code__nav", (i) => `Code ${i}`);
  name(".md-path", () => "Path");
  name(".md-nav--secondary .md-nav", (i) => `Contents, part ${i}`);
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((node) => node.setAttribute("tabindex", "0"));
}

new MutationObserver(mend).observe(document.documentElement, { childList: true, subtree: true });
mend();
