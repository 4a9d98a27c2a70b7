"use strict";
// What is chosen, and what the page shows of it. Charts are Vega-Lite specifications that `charts.py` made; here
// they get rows. State is one study and a decoding of it for A and for B.
{
  const { studies, charts, first } = JSON.parse(document.getElementById("data").textContent);
  const SIDES = ["A", "B"];
  const PARTS = {  // of an error: their words, and the colours of their areas
    leak: ["leak", "leak-area"], bias: ["bias²", "bias-area"], spread: ["spread", "spread-area"],
    bias_and_spread: ["bias² and spread", "both-area"],
  };
  const FIELDS = ["variant", "objective", "schedule", "prediction", "steps", "draws"];
  const BOUND = 3.5;  // of stored values, see denoising.py
  const STEP_MS = 450;  // of the player, for a call
  const $ = (id) => document.getElementById(id);
  const element = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const percent = (share) => share === null ? "not known" : `${(100 * share).toFixed(1)}\u00a0%`;
  const short = (number) => number === null ? "not known" : Number(number.toPrecision(3)).toString();
  /** Text in which `words between these` are code. */
  const coded = (text) => text.split("`").map((part, place) =>
    place % 2 ? element("code", { textContent: part }) : part);
  const plural = (count, word) => `${count} ${word}${Number(count) === 1 ? "" : "s"}`;

  let study = studies[first];
  const chosen = {};  // the decoding of each side
  const views = {}, drawing = {}, turns = {};  // of charts, by their element; when the last one is there; and how often it changed
  let playing = null;

  // ---- choosing ----------------------------------------------------------------------------------------------
  const valueOf = (decoded, field) =>
    String((field in decoded ? decoded : study.settings[decoded.setting])[field] ?? "none");
  const valuesOf = (field) => {
    const values = [...new Set(study.decoded.map((each) => valueOf(each, field)))];
    if (field === "prediction") values.sort((one, other) => (other === "velocity") - (one === "velocity"));
    return ["steps", "draws"].includes(field) ? values.sort((one, other) => one - other) : values;
  };

  /** The decoding in which `wanted` holds, and as much as can be of what `like` is. */
  function nearest(wanted, like) {
    const fits = study.decoded.filter((each) => Object.entries(wanted).every(([f, v]) => valueOf(each, f) === v));
    const same = (each) => FIELDS.filter((field) => like && valueOf(each, field) === valueOf(like, field)).length;
    return fits.reduce((best, each) => (best && same(best) >= same(each) ? best : each), null);
  }

  const decodingOf = ({ steps, draws }) => `K = ${steps}${draws > 1 ? `, M = ${draws}` : ""}`;
  const settingOf = ({ setting }) => [study.settings[setting].label, study.settings[setting].variant].filter(Boolean).join(", ");
  /** The name of a side at its charts, the variant smaller beneath; of its decoding, or of its models alone. */
  function title(side, decoded = true) {
    const { label, variant } = study.settings[chosen[side].setting];
    return [`${side}: ${label}${decoded ? `, ${decodingOf(chosen[side])}` : ""}`, element("span", { className: "variant", textContent: variant })];
  }

  /** Comparisons to begin with: words, and what A and B are. They differ in one choice alone, but that an
   *  objective without schedule and prediction has none of these. */
  function ideas() {
    const late = (each) => [each.steps, each.draws, valueOf(each, "prediction") === "velocity" ? 0 : 1, each.setting in study.denoising ? 0 : 1];
    const ranked = study.decoded.map((each) => [late(each), each])
      .sort(([one], [two]) => one.map((rank, place) => rank - two[place]).find((by) => by) ?? 0).map(([, each]) => each);
    const partners = (a, field) => study.decoded.filter((b) => valueOf(a, field) !== valueOf(b, field) && FIELDS.every((each) =>
      each === field || valueOf(a, each) === valueOf(b, each) || valueOf(b, each) === "none"));
    const found = [], add = (field, pick, words) => {
      const a = ranked.find((each) => partners(each, field).length), b = a && pick(partners(a, field));
      if (b) found.push([words(...[a, b].map((each) => valueOf(each, field))), a, b]);
    };
    const last = (all) => all.reduce((one, two) => (two.steps >= one.steps && two.draws >= one.draws ? two : one));
    const or = (one, two) => `${one} or ${two}?`;
    add("steps", last, (one, two) => or(plural(one, "step"), two));
    add("prediction", ([first]) => first, or);
    add("schedule", (all) => all.find((each) => valueOf(each, "schedule").startsWith("shift:")) ?? all.at(-1), or);
    add("objective", (all) => all.find((each) => valueOf(each, "objective") === "regression") ?? all[0], or);
    add("draws", last, (one, two) => or(plural(one, "draw"), two));
    return found;
  }

  function fillChoices() {
    $("described").textContent = study.described;
    for (const box of document.querySelectorAll(".field")) {
      const values = valuesOf(box.dataset.field);
      box.hidden = values.length < 2 && box.dataset.field !== "steps";
      box.parentElement.hidden = [...box.parentElement.querySelectorAll(".field")].every((each) => each.hidden);
      for (const select of box.querySelectorAll("select")) {
        select.replaceChildren(...values.map((value) => new Option(value || "as others", value)));
      }
    }
    $("ideas").replaceChildren(...ideas().map(([words, a, b]) => {
      const button = element("button", { type: "button", textContent: words });
      button.idea = [a, b];
      button.addEventListener("click", () => { chosen.A = a; chosen.B = b; show(); });
      return button;
    }));
  }

  function showChoices() {
    for (const select of document.querySelectorAll(".field select")) {
      select.value = valueOf(chosen[select.dataset.side], select.dataset.field);
    }
    for (const button of $("ideas").children) {
      button.setAttribute("aria-pressed", button.idea[0] === chosen.A && button.idea[1] === chosen.B);
    }
  }

  function openStudy(place) {
    study = studies[place];
    fillChoices();
    const [begin] = ideas();
    [chosen.A, chosen.B] = begin ? begin.slice(1) : [study.decoded[0], study.decoded.at(-1)];
    $("said").textContent = "";
    show();
  }

  function choose(side, field, value) {
    const before = chosen[side], after = nearest({ [field]: value }, before);
    const moved = FIELDS.filter((f) => f !== field && valueOf(before, f) !== valueOf(after, f));
    $("said").textContent = moved.length
      ? `${side} is now also ${moved.map((f) => `${f} ${valueOf(after, f) || "as others"}`).join(", ")}: ` +
        "this study has no results of the combination that was asked for."
      : "";
    chosen[side] = after;
    show();
  }

  // ---- charts ------------------------------------------------------------------------------------------------
  function theme() {
    const text = colour("text"), quiet = colour("quiet"), line = colour("line");
    return {
      background: "transparent", font: "system-ui, sans-serif",
      axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line,
              labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, titlePadding: 8 },
      view: { stroke: null },
      range: {
        category: [colour("a"), colour("b")],
        ordinal: [colour("leak-area"), colour("bias-area"), colour("both-area"), colour("spread-area")],
        heatmap: [colour("low"), colour("middle"), colour("high")],
      },
      style: {
        other: { color: colour("other"), opacity: 0.75 },
        goal: { stroke: colour("goal"), color: colour("goal") },
        part: { stroke: colour("panel"), strokeWidth: 1 },
        rule: { color: text }, cell: { stroke: colour("panel"), strokeWidth: 1 },
        outlined: { color: colour("right") }, reading: { color: colour("reading") }, faint: { color: colour("text") }, beside: { color: text },
      },
    };
  }

  /** Draw the chart `name` into the element `id`; its rows are `data`, by the names that the chart knows. */
  async function draw(id, name, data, described, { highest, height } = {}) {
    const spec = structuredClone(charts[name]);
    spec.datasets = data;
    spec.description = described;
    spec.config = theme();
    spec.autosize = { type: "fit-x", contains: "padding" };
    if (height) spec.height = height;
    if (highest !== undefined) spec.params = spec.params.map((p) => (p.name === "highest" ? { ...p, value: highest } : p));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const options = { actions: false, renderer: "svg", logLevel: 1, tooltip: { theme: dark ? "dark" : "light" } };
    const turn = turns[id] = (turns[id] ?? 0) + 1;
    drawing[id] = (drawing[id] ?? Promise.resolve()).then(async () => {  // one after the other
      if (turns[id] !== turn) return;  // something else was chosen meanwhile
      clear(id);
      const within = element("div", { className: "drawn" }), current = turns[id];
      $(id).replaceChildren(within);
      const { view } = await vegaEmbed(within, spec, options);
      if (turns[id] === current) views[id] = view;
      else view.finalize();
    });
    return drawing[id];
  }

  /** Empty an element that may hold a chart. */
  function clear(id) {
    turns[id] = (turns[id] ?? 0) + 1;
    views[id]?.finalize();
    delete views[id];
    $(id).classList.remove("images");
    $(id).replaceChildren();
  }

  function missing(id, words) {
    clear(id);
    const note = element("p", { className: "missing" });
    note.replaceChildren(...coded(words));
    $(id).replaceChildren(note);
  }

  function drawSuccess() {
    const row = (each, more) => ({ ...each, name: settingOf(each), decoding: decodingOf(each), ...more });
    const timed = study.decoded.filter((each) => each.ms > 0 && each.score !== null);
    const ways = SIDES.flatMap((side) => timed
      .filter((each) => each.setting === chosen[side].setting && each.draws === chosen[side].draws)
      .map((each) => row(each, { side })));
    const own = SIDES.filter((side) => timed.includes(chosen[side])).map((side) => row(chosen[side], { side, told: `${side}: ${decodingOf(chosen[side])}` }));
    const doubts = timed.filter((each) => each.doubt).length;
    $("success-explained").textContent = doubts
      ? `${doubts} of the ${timed.length} times may be those of a busy machine; the table below marks them by *.` : "";
    const words = `${study.metric} against milliseconds for an answer. ${SIDES.map((s) => `${s}: ${percent(chosen[s].score)} in ${short(chosen[s].ms)} ms`).join("; ")}.`;
    if (!timed.length) missing("success", "No times are stored in this study.");
    else draw("success", "success", { rows: timed.map((each) => row(each)), ways, chosen: own }, words);
  }

  const toMeasure = "Where the models' weights are, `toyflow probe` measures it";
  const notMeasured = (of) => `Not measured ${Object.keys(of).length ? "for this setting" : "in this study"}. ${toMeasure}`;

  /** That a probe may have measured the setting of one side; "" where none may have. */
  const untoldOf = (side) => study.untold.includes(chosen[side].setting)
    ? `The stored probe of ${study.settings[chosen[side].setting].label} does not say which variant it measured.` : "";

  function drawErrors() {
    const probed = SIDES.filter((side) => study.errors[chosen[side].setting]);
    const same = chosen.A.setting === chosen.B.setting;
    const rows = (same ? probed.slice(0, 1) : probed).flatMap((side) => study.errors[chosen[side].setting].map((each, place, all) =>
      ({ ...each, low: each.low === null ? null : Math.max(each.low, each.mse / 5), side, told: same ? "A, B" : side, last: place === all.length - 1 })));
    const absent = SIDES.filter((side) => !probed.includes(side));
    $("errors-note").textContent = same && rows.length
      ? "A and B are the same trained models, decoded in two ways, so they share one line."
      : absent.length === 1 ? untoldOf(absent[0]) || `Of ${absent[0]} it was not measured.` : "";
    const untold = [...new Set(absent.map(untoldOf))].filter(Boolean).join(" ");
    if (!rows.length) return missing("errors", untold ? `${untold} ${toMeasure} again.` : `${notMeasured(study.errors)}, for models with a velocity.`);
    const end = (side) => short(study.errors[chosen[side].setting][0].mse);
    return draw("errors", "errors", { rows }, `Error of the velocity by noise level. At pure noise ${probed.map((side) => `${side}: ${end(side)}`).join("; ")}.`);
  }

  /** Leak that is left after the mean of M draws, then what draws leave: rows of areas. */
  function areas({ parts, left }) {
    const names = "bias" in parts ? ["leak", "bias", "spread"] : ["leak", "bias and spread"];
    const of = { bias: parts.bias, spread: parts.spread, "bias and spread": parts.bias_and_spread };
    return Object.entries(left).flatMap(([draws, leak]) => names.map((part) => ({ draws: Number(draws), part,
      place: -names.indexOf(part), value: Math.max(0, part === "leak" ? leak : of[part]) })));
  }

  const dissectedOf = (side) => study.anatomies[chosen[side].setting];

  function drawAnatomy() {
    const probed = SIDES.filter(dissectedOf);
    const errorOf = (side) => dissectedOf(side).parts.error;
    $("anatomy-scales").closest("label").hidden = probed.length < 2;
    for (const side of SIDES) {
      const found = dissectedOf(side);
      $(`anatomy-${side}-title`).replaceChildren(...title(side, false));
      $(`anatomy-${side}-parts`).textContent = "";
      if (!found) { missing(`anatomy-${side}`, `${notMeasured(study.anatomies)}.`); continue; }
      const { parts } = found, shares = Object.keys(PARTS).filter((name) => name in parts);
      const words = `One step's error of ${side}: ${shares.map((name) => `${name.replaceAll("_", " ")} ${short(parts[name])}`).join(", ")}.`;
      $(`anatomy-${side}-parts`).append(`error ${short(parts.error)} = `, ...shares.flatMap((name, place) => {
        const [word, area] = PARTS[name], share = element("span", { className: "share" });
        share.append(element("span", { className: `swatch ${area}` }), `${word} ${short(Math.max(0, parts[name]))}`);
        return place ? [" + ", share] : [share];
      }));
      const highest = 1.06 * ($("anatomy-scales").checked ? errorOf(side) : Math.max(...probed.map(errorOf)));
      draw(`anatomy-${side}`, "anatomy", { rows: areas(found), chosen: [{ draws: Math.min(16, chosen[side].draws) }] }, words, { highest });
    }
    $("anatomy-note").textContent = probed.length ? [
      "The dashed line is the number of draws chosen. Bias² and spread are what no number of draws removes.",
      probed.some((side) => "bias_and_spread" in dissectedOf(side).parts) ? "Where only one answer to each condition is known, the two are not told apart." : "",
      ...measuredOn(probed),
    ].filter(Boolean).join(" ") : "";
  }

  /** Sentences: on what the sides were measured, and over how many models. */
  function measuredOn(probed) {
    const [one, two] = probed.map((side) => dissectedOf(side).where);
    const models = probed.map((side) => `${side} ${dissectedOf(side).models}`).join(", ");
    return two === undefined || one === two
      ? [`Measured on: ${one}. Trained models: ${models}.`]
      : [`Measured on: ${probed.map((side) => `${side}, ${dissectedOf(side).where}`).join("; ")}, so A and B are not comparable here. Trained models: ${models}.`];
  }

  // ---- denoising ---------------------------------------------------------------------------------------------
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const number = (byte) => byte * (2 * BOUND / 255) - BOUND;
  let player = { calls: 0, sides: {} };

  /** The examples of a side as they are stored, and the decoding of it; null where they are not. */
  function recordOf(side) {
    const { setting, steps, draws, sampler, grid } = chosen[side], record = study.denoising[setting];
    const way = record?.decodings.find((each) => each.steps === steps && each.draws === draws &&
      each.sampler === sampler && each.grid === grid);
    if (!way) return null;
    const size = record.shape.reduce((product, length) => product * length, 1);
    return { record, way, size, frames: bytes(way.frames), answer: bytes(way.answer), target: bytes(record.target) };
  }

  /** The bytes of an example after `calls` calls, of one draw; of the mean answer where `draw` is null. */
  function state({ way, size, record, frames, answer }, example, calls, draw) {
    const examples = record.conditions.length;
    if (draw === null) return answer.subarray(example * size, (example + 1) * size);
    const frame = (draw * (way.calls + 1) + Math.min(calls, way.calls)) * examples + example;
    return frames.subarray(frame * size, (frame + 1) * size);
  }

  function curveRows(side, own, example, calls) {
    const { size, way, record } = own, [, series = 1] = record.shape;
    const rows = [], at = (values, role, draw) => values.forEach((byte, place) => rows.push(
      { place: Math.floor(place / series), series: place % series, value: number(byte), role, draw, side }));
    at(own.target.subarray(example * size, (example + 1) * size), "target", -1);
    const drawn = Array.from({ length: way.draws_shown }, (_, draw) => state(own, example, calls, draw));
    if (way.draws_shown > 1) drawn.forEach((values, draw) => at(values, "draw", draw));
    const several = series > 1;
    if (calls >= way.calls) at(state(own, example, calls, null), "mean", -2);
    else if (way.draws_shown === 1 || several) at(drawn[0], "mean", -2);
    return { rows, chart: several ? "curves" : "curve" };
  }

  function digitRows(side, own, example, calls) {
    const { size, way, record } = own, [tiles, length] = record.shape;
    const values = state(own, example, calls, calls >= way.calls ? null : 0);
    const goals = own.target.subarray(example * size, (example + 1) * size), rows = [];
    const largest = (of, tile) => Array.from({ length }, (_, digit) => digit).reduce(
      (best, digit) => (of[tile * length + digit] > of[tile * length + best] ? digit : best), 0);
    const digitOf = (byte) => number(byte) * 8.25 ** 0.5 + 4.5;
    for (let tile = 0; tile < tiles; tile++) {
      if (length === 1) {
        const at = digitOf(values[tile]), target = Math.round(digitOf(goals[tile]));
        const read = Math.min(9, Math.max(0, Math.round(at)));
        rows.push({ side, tile, at, target, mark: `${read} ${read === target ? "\u2713" : "\u2717"}` });
        continue;
      }
      const read = largest(values, tile), goal = largest(goals, tile);
      for (let digit = 0; digit < length; digit++) {
        rows.push({ tile, digit, value: number(values[tile * length + digit]), goal: digit === goal, read: digit === read,
                    mark: read === goal ? "\u2713" : "\u2717" });
      }
    }
    return { rows, chart: length === 1 ? "scalars" : "codes" };
  }

  function paint(canvas, own, example, calls) {
    const { record, way, size, target } = own, [channels, height, width] = record.shape;
    const values = state(own, example, calls, calls >= way.calls ? null : 0);
    const [black, white] = [Math.min(...target), Math.max(...target)], picture = new ImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let c = 0; c < 3; c++) {
        const byte = values[(channels === 3 ? c : 0) * (size / channels) + pixel];
        picture.data[4 * pixel + c] = (255 * (byte - black)) / (white - black);
      }
      picture.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  function gallery(side, own) {
    const [, height, width] = own.record.shape;
    clear(`noise-${side}`);
    $(`noise-${side}`).classList.add("images");
    $(`noise-${side}`).replaceChildren(...own.record.conditions.map((told, example) => {
      const figure = document.createElement("figure"), canvas = element("canvas", { width, height });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${side}: what was made of noise, told ${told}`);
      figure.append(canvas, element("p", { className: "state", textContent: `told ${told}` }));
      canvas.example = example;
      return figure;
    }));
  }

  const EXPLAINED = {
    curve: "Thin lines: answers from noises of their own; thick: their mean, which is the answer; broad and grey: what is right.",
    curves: "A curve for each number of an action; dotted: what is right, or was demonstrated.",
    codes: "A row for each digit to be read, a column for each number of its code; the largest number is the digit that is read, \u2713 where it is the test example's, which is outlined. A task with spread has other right ones.",
    scalars: "A row for each digit to be read; the point is its number, the grey bar the right digit.",
    demonstrated: "A curve for each number of an action, in standard deviations; dotted: what was demonstrated at this moment, where other ways may do as well.",
    image: "What the network makes of six noises, each for the class that it is told. Right: a classifier sees that class.",
  };

  const noiseSeedOf = (side) => study.settings[chosen[side].setting].noise_seed;

  function drawDenoising() {
    stop();
    const sides = Object.fromEntries(SIDES.map((side) => [side, recordOf(side)]));
    const found = SIDES.filter((side) => sides[side]);
    const any = Object.keys(study.denoising).length > 0;
    $("noise-explained").textContent = "Every answer begins as noise, the same for A and B. At each call the network moves it; the slider is the number of calls that were made" +
      " (a setting of one step is done after one call). What the network is told is its condition. Only decodings of noise seed 0 are shown." +
      (found.some((side) => sides[side].way.draws > 2)
        ? " From the third draw on, the noises are not those of the evaluation, so an answer of 4 or more draws can differ from the one that was scored." : "");
    $("noise-player").hidden = !found.length;
    $("noise-explained").classList.toggle("missing", !found.length);
    if (!found.length) {
      $("noise-explained").replaceChildren(...coded(SIDES.every((side) => noiseSeedOf(side))
        ? "How examples are denoised is shown only for noise seed 0."
        : study.left_out
        ? "How examples are denoised is stored in the results folder, and too large for this page."
        : any ? "How examples are denoised is stored for other settings of this study than these two."
        : "How examples are denoised is not stored in this study. `toyflow explore` computes it where the models' weights are, as after a sweep of your own, and keeps it."));
      return;
    }
    const { record } = sides[found[0]];
    const before = Number($("example").value) || 0;
    $("example").replaceChildren(...record.conditions.map((told, place) => new Option(told ? `${place + 1}: told ${told}` : `${place + 1}`, place)));
    $("example").value = Math.min(before, record.conditions.length - 1);
    $("example").closest(".told").hidden = record.kind === "image";
    for (const side of SIDES) {
      $(`noise-${side}-title`).replaceChildren(...title(side));
      if (sides[side]?.record.kind === "image") gallery(side, sides[side]);
      if (!sides[side]) missing(`noise-${side}`, noiseSeedOf(side) ? "Shown only for noise seed 0." : "Not stored for this setting.");
    }
    player = { sides, most: Math.max(...found.map((side) => sides[side].way.calls)) };
    $("calls").max = player.most;
    setCalls(player.most);
  }

  async function showFrames() {
    const { sides, calls, most } = player, example = Number($("example").value) || 0;
    $("calls-told").textContent = `${calls} of ${most}`;
    $("calls").setAttribute("aria-valuetext", `after ${plural(calls, "network call")}`);
    const picture = SIDES.map((side) => sides[side]?.record.pictures[example]).find(Boolean);
    const shown = Object.assign(new Image(), { src: picture ?? "", alt: "the picture that the network is told to read" });
    $("condition").replaceChildren(...(picture ? [shown, "What the network is told: read these digits, row by row."] : []));
    for (const side of SIDES) {
      const own = sides[side];
      if (!own) { $(`state-${side}`).textContent = ""; continue; }
      const done = calls >= own.way.calls, { kind } = own.record;
      const demonstrated = study.task === "robot";  // of which other ways may be as good
      const verdict = (right) => demonstrated ? `(${right ? "" : "not "}close to the demonstration)` : element("span", { className: right ? "right" : "wrong", textContent: right ? "right" : "wrong" });
      const words = calls === 0 ? "noise" : done ? `answer, after ${plural(own.way.calls, "call")} ` : `after ${plural(calls, "call")} of ${own.way.calls}`;
      if (kind === "image") {
        for (const canvas of $(`noise-${side}`).querySelectorAll("canvas")) {
          paint(canvas, own, canvas.example, calls);
          const state = canvas.nextSibling;
          state.replaceChildren(`told ${own.record.conditions[canvas.example]} `, ...(done ? [verdict(own.way.right[canvas.example] > 0.5)] : []));
        }
        $(`state-${side}`).replaceChildren(words);
        $("noise-legend").textContent = EXPLAINED.image;
        continue;
      }
      $(`state-${side}`).replaceChildren(words, ...(done ? [verdict(own.way.right[example] > 0.5)] : []));
      const { rows, chart } = kind === "digits" ? digitRows(side, own, example, calls) : curveRows(side, own, example, calls);
      const explained = EXPLAINED[demonstrated ? "demonstrated" : chart];
      $("noise-legend").textContent = explained;
      const view = views[`noise-${side}`];
      if (view?.drawn === `${chart} ${own.record.key}`) await view.data("frames", rows).runAsync();
      else {
        await draw(`noise-${side}`, chart, { frames: rows }, `${side}: ${explained}`,
          kind === "digits" ? { height: 20 * own.record.shape[0] } : {});
        if (views[`noise-${side}`]) views[`noise-${side}`].drawn = `${chart} ${own.record.key}`;
      }
    }
  }

  function setCalls(calls) {
    player.calls = calls;
    $("calls").value = calls;
    return showFrames();
  }

  function stop() {
    clearInterval(playing);
    playing = null;
    $("play-word").textContent = "Play";
  }

  function togglePlay() {
    if (playing) return stop();
    setCalls(player.calls >= player.most ? 0 : player.calls);
    $("play-word").textContent = "Pause";
    playing = setInterval(() => {
      if (player.calls >= player.most) stop();
      else setCalls(player.calls + 1);
    }, STEP_MS);
  }

  // ---- scores ------------------------------------------------------------------------------------------------
  function showScores() {
    for (const side of SIDES) {
      const { score, low, high, seeds, ms, calls, errors, caveat, doubt, others } = chosen[side];
      const line = (className, ...text) => { const own = element("p", { className }); own.append(...text); return own; };
      $(`score-${side}`).replaceChildren(
        line("name", ...title(side)),
        line("big", percent(score)),
        line("facts", `${study.metric}${low === null || high === null ? "" : `; 95\u00a0% interval ${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`}, ${plural(seeds, "training seed")}`),
        ...(Object.keys(others).length ? [line("facts", `also ${Object.entries(others).map(([name, value]) => `${name} ${short(value)}`).join(", ")}`)] : []),
        line("facts", `${ms > 0 ? `${short(ms)}\u00a0ms for an answer${doubt ? " (perhaps on a busy machine)" : ""}, ` : ""}${plural(calls, "network call")}`),
        ...[caveat, errors ? `${plural(errors, "test example")} ended in an error and count for nothing` : ""].filter(Boolean).map((text) => line("facts", text)),
      );
    }
    const { A, B } = chosen, points = 100 * (B.score - A.score), times = B.ms / A.ms;
    const apartBy = Math.abs(points) < 0.05 ? "B scores as A does" : `B scores ${Math.abs(points).toFixed(1)} points ${points > 0 ? "higher" : "lower"} than A`;
    const alike = ["calls", "draws"].every((name) => A[name] === B[name]) &&
      study.settings[A.setting].variant === study.settings[B.setting].variant;  // then times differ by chance
    const doubtful = A.doubt || B.doubt ? ", by times of a machine that may have been busy" : "";
    const slower = alike ? ", with as many network calls" : !(A.ms > 0 && B.ms > 0) ? "" : times > 1.33 ? `, and takes ${short(times)} times as long${doubtful}` :
      times < 0.75 ? `, and A takes ${short(1 / times)} times as long as B${doubtful}` : `, in about the same time${doubtful}`;
    const known = (...names) => SIDES.every((side) => names.every((name) => chosen[side][name] !== null));
    const apart = A.low > B.high || B.low > A.high;
    const overlap = !known("low", "high") ? "An interval is not known." : apart ? "Their intervals are apart." : "Their intervals overlap, so this alone shows no difference.";
    const once = A.seeds === 1 || B.seeds === 1 ? " An interval of one training seed is of test examples alone: another seed can differ by more." : "";
    $("verdict").replaceChildren(...coded(A === B ? "A and B are the same setting: change one of them."
      : !known("score") ? "A score is not known, so the two cannot be compared."
      : `${apartBy}${slower}. ${overlap}${once} To test it: \`toyflow compare\`.`));
  }

  function show() {
    showChoices();
    showScores();
    drawDenoising();
    drawSuccess();
    drawErrors();
    drawAnatomy();
  }

  // ---- films -------------------------------------------------------------------------------------------------
  function films() {
    if (!$("scene")) return;
    let running = false;
    const scenes = [...document.querySelectorAll(".scene")], slider = $("film-time");
    const shown = () => [...document.querySelectorAll(".scene.shown video")];
    const length = () => Math.max(...shown().map((video) => video.duration || 0));
    const tell = () => {
      const now = Math.max(...shown().map((video) => video.currentTime));
      if (!slider.matches(":active")) slider.value = length() ? (1000 * now) / length() : 0;
      $("film-told").textContent = `${now.toFixed(1)} s`;
      slider.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${length().toFixed(1)} seconds`);
    };
    const halt = () => { running = false; $("film-play-word").textContent = "Play"; shown().forEach((video) => video.pause()); };
    const pick = () => { halt(); scenes.forEach((scene, place) => scene.classList.toggle("shown", String(place) === $("scene").value)); tell(); };
    for (const video of document.querySelectorAll(".scene video")) {
      video.controls = false;
      video.addEventListener("timeupdate", tell);
      video.addEventListener("loadedmetadata", tell);
      video.addEventListener("ended", () => { if (shown().every((each) => each.ended || each.paused)) halt(); });
    }
    $("scene").addEventListener("change", pick);
    slider.addEventListener("input", () => {
      halt();
      shown().forEach((video) => { video.currentTime = Math.min(video.duration || 0, (slider.value / 1000) * length()); });
    });
    $("film-play").addEventListener("click", () => {
      if (running) return halt();
      const over = shown().every((video) => video.ended), now = over ? 0 : Math.max(...shown().map((video) => video.currentTime));
      shown().forEach((video) => { video.currentTime = Math.min(now, video.duration || 0); if (now < video.duration) video.play(); });
      running = true;
      $("film-play-word").textContent = "Pause";
    });
    pick();
  }

  // ---- to begin with -----------------------------------------------------------------------------------------
  $("study").addEventListener("change", () => openStudy(Number($("study").value)));
  document.querySelectorAll(".field select").forEach((select) =>
    select.addEventListener("change", () => choose(select.dataset.side, select.dataset.field, select.value)));
  $("example").addEventListener("change", showFrames);
  $("calls").addEventListener("input", () => { stop(); setCalls(Number($("calls").value)); });
  $("play").addEventListener("click", togglePlay);
  $("anatomy-scales").addEventListener("change", drawAnatomy);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  $("study").value = first;
  openStudy(first);
  films();
}
