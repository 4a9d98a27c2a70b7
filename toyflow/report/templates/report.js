// Links open what is folded around their place, and paper has no folds. Without scripts, readers open them.
const unfold = (place) => {
  for (let each = place; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
};
const follow = () => {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  unfold(place);
  place.scrollIntoView();
};
addEventListener("hashchange", follow);
addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) follow(); // its place may have been folded since
});
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
});
follow();
