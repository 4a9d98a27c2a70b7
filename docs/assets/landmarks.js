/* Tells the theme's landmarks apart for screen readers: the row of buttons of each block of code, the path above a
   page, and the parts of a page's table of contents. */
function name(nodes, label) {
  nodes.forEach((node, i) => node.setAttribute("aria-label", label(node, i)));
}

function nameLandmarks() {
  name(document.querySelectorAll(".md-code__nav"), (_, i) => `Code ${i + 1}`);
  name(document.querySelectorAll(".md-path"), () => "Path");
  name(document.querySelectorAll(".md-nav--secondary .md-nav"), (node, i) => `Contents, part ${i + 1}`);
}

new MutationObserver(nameLandmarks).observe(document.documentElement, { childList: true, subtree: true });
nameLandmarks();
