// Links open what is folded around their place, and a button everything, as for paper, which shows what is open.
// Without scripts, readers open what they want.
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
const button = document.getElementById("unfold");
button.hidden = false;
button.addEventListener("click", () => {
  const opens = button.getAttribute("aria-pressed") === "false";
  button.setAttribute("aria-pressed", opens);
  for (const each of document.querySelectorAll("details")) each.open = opens;
});
follow();
