// The page of memfuse: fetches status.json every few seconds, and shows it. Names of files come from
// any user, so all text is inserted as text nodes, and never as markup.
'use strict';

const REFRESH = 5000;  // milliseconds
const TIMEOUT = 10000;
const WALK_INTERVAL = 60000;  // between two walks over the same directory
const KEPT = 60;  // answers, for rates
const WINDOW = 30;  // seconds over which rates and latencies are taken
const SHOWN = 8;  // rows; the others are in a <details>

const byId = (id) => document.getElementById(id);

// ---- elements

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawing(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Does not touch equal text, which a screen reader would read again.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function table(headings, rows) {
  const cells = (tag, values, attributes) =>
    make('tr', {}, ...values.map((value) => make(tag, attributes, value)));
  return make('table', {}, make('thead', {}, cells('th', headings, {scope: 'col'})),
    make('tbody', {}, ...rows.map((row) => cells('td', row, {}))));
}

// Shows the first elements, and the others below a summary.
function showSome(id, elements, nothing, wrap = (some) => some) {
  const more = byId(`more-${id}`);
  byId(id).replaceChildren(
    ...(elements.length ? wrap(elements.slice(0, SHOWN)) : [make('p', {class: 'muted'}, nothing)]));
  more.hidden = elements.length <= SHOWN;
  if (more.hidden) return;
  setText(more.querySelector('summary'), `${elements.length - SHOWN} more`);
  more.querySelector('div').replaceChildren(...wrap(elements.slice(SHOWN)));
}

// ---- numbers and names

function scaled(value, base, units) {
  let unit = 0;
  while (value >= base * 0.9995 && unit < units.length - 1) {
    value /= base;
    ++unit;
  }
  const digits = unit === 0 && base === 1024 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return (digits ? String(Number(value.toFixed(digits))) : value.toFixed(0)) + units[unit];
}
const asBytes = (value) => scaled(value, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']);
const asCount = (value) => value.toLocaleString('en');
const asInodes = (value) => `${asCount(value)} ${value === 1 ? 'inode' : 'inodes'}`;
const asSeconds = (value) => scaled(value * 1e9, 1000, [' ns', ' µs', ' ms', ' s']);
const asRate = (value) => (value > 0 && value < 0.01 ? '< 0.01' : scaled(value, 1000, ['', ' k', ' M']));
const asTime = (seconds) => new Date(seconds * 1000).toLocaleString('en-GB',
  {day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit'});
const asClock = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB',
  {hour: '2-digit', minute: '2-digit'});
function asPercent(share) {
  if (share > 0 && share < 0.01) return '< 1 %';
  return `${Math.floor(share * 100)} %`;
}
function asDuration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)}\u00a0s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// Control and format characters, such as those that reverse the direction of text, as escapes.
function asName(name) {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

function ownerName(kind, id, path) {
  if (kind === 'uid') return id === 0 ? 'User 0 (root)' : `User ${id}`;
  if (kind === 'gid') return `Group ${id}`;
  if (kind === 'path') return path ? `Directory ${asName(path)}` : `Directory with inode ${id}`;
  return kind === 'memory' ? 'Memory of the machine or control group' : 'File system';
}

// ---- space, quotas, users

// A bar with its numbers. `share`: of the limit; `text`: the numbers; `level`: '', 'near' or 'full'.
function bar(label, share, text, level) {
  const fill = make('div', {});
  fill.style.width = `${Math.min(100, share * 100)}%`;
  const mark = {near: ' · nearly full', full: ' · full'}[level] || '';
  return make('div', {class: `bar ${level}`},
    make('div', {}, make('bdi', {}, label),
      make('span', {class: 'value'}, text, make('span', {class: 'mark'}, mark))),
    make('div', {class: 'track', role: 'meter', 'aria-label': label, 'aria-valuemin': 0,
      'aria-valuemax': 100, 'aria-valuenow': Math.min(100, Math.floor(share * 100)),
      'aria-valuetext': text + mark}, fill));
}

function limitBar(label, used, limit, format, note = '') {
  if (limit === null) return bar(label, 0, `${format(used)}${note}, no limit`, '');
  const share = limit > 0 ? used / limit : 1;
  const level = share >= 0.995 ? 'full' : share >= 0.85 ? 'near' : '';
  return bar(label, share, `${format(used)} of ${format(limit)}${note} · ${asPercent(share)}`, level);
}

function showSpace(status) {
  const {size, inodes} = status;
  const removed = size.removed > 0 ? ` (${asBytes(size.removed)} of it being freed)` : '';
  byId('space').replaceChildren(limitBar('Size', size.used, size.limit, asBytes, removed),
    limitBar('Inodes', inodes.used, inodes.limit, asCount),
    make('p', {class: 'muted'}, `Data ${asBytes(size.data)}, names and attributes ${
      asBytes(Math.max(0, size.used - size.data))}.`));
}

function showQuotas(status) {
  const bars = [];
  for (const quota of status.quotas) {
    const name = ownerName(quota.kind, quota.id, quota.path);
    for (const [what, limit, format] of [['bytes', quota.byte_limit, asBytes],
      ['inodes', quota.inode_limit, asCount]]) {
      if (limit === null) continue;
      bars.push([quota[what] / Math.max(limit, 1), () =>
        limitBar(`${name}, ${what}`, quota[what], limit, format)]);
    }
  }
  bars.sort((a, b) => b[0] - a[0]);
  showSome('quotas', bars.map(([, draw]) => draw()), 'No quota is set.');
}

function showUsers(status) {
  const all = Math.max(status.size.used, 1);
  showSome('users', status.users.map((user) => bar(ownerName('uid', user.id), user.bytes / all,
    `${asBytes(user.bytes)} in ${asInodes(user.inodes)} · ${asPercent(user.bytes / all)}`, '')),
  'No user stores anything.');
}

// ---- directories

// Splits the box into one tile for each item, of an area in proportion to item.bytes, as nearly
// square as possible (Bruls, Huizing, van Wijk: Squarified Treemaps). Items are sorted, largest
// first, and none is 0.
function squarify(items, box) {
  const scale = box.width * box.height / items.reduce((sum, item) => sum + item.bytes, 0);
  const rest = items.map((item) => ({item, area: item.bytes * scale}));
  const {width, height} = box;
  let [left, top] = [0, 0];
  const tiles = [];
  while (rest.length) {
    const side = Math.min(width - left, height - top);
    const count = rowLength(rest, side);
    const row = rest.splice(0, count);
    const thickness = row.reduce((sum, {area}) => sum + area, 0) / side;
    let offset = 0;
    for (const {item, area} of row) {
      const length = area / thickness;
      tiles.push(width - left > height - top ?
        {item, left, top: top + offset, width: thickness, height: length} :
        {item, left: left + offset, top, width: length, height: thickness});
      offset += length;
    }
    if (width - left > height - top) left += thickness;
    else top += thickness;
  }
  return tiles;
}

// How many areas make the row along `side` whose worst tile is nearest to a square.
function rowLength(areas, side) {
  let sum = 0;
  let worst = Infinity;
  for (let count = 0; count < areas.length; ++count) {
    sum += areas[count].area;
    const ratio = Math.max(side * side * areas[0].area / (sum * sum),
      sum * sum / (side * side * areas[count].area));
    if (ratio > worst) return count;
    worst = ratio;
  }
  return areas.length;
}

// The directory that is shown: the names from the root, each as text and percent-encoded.
let directory = [];
let walk = null;  // the last answer
let walkedAt = -Infinity;
let walking = false;

const pathOf = (names) => `/${names.map(({encoded}) => encoded).join('/')}`;

function descend(names) {
  directory = names;
  walkedAt = -Infinity;
  showPath();
  updateDirectories();
}

function showPath() {
  const names = [{name: '/'}, ...directory];
  byId('path').replaceChildren(...names.map(({name}, depth) => {
    const button = make('button', {type: 'button'}, make('bdi', {}, asName(name)));
    if (depth === names.length - 1) button.setAttribute('aria-current', 'page');
    button.addEventListener('click', () => {
      descend(directory.slice(0, depth));
      byId('path').lastChild.focus();
    });
    return button;
  }));
}

// Fetches the directory, unless that was done a short time ago. It may take the daemon seconds.
async function updateDirectories() {
  if (walking || performance.now() - walkedAt < WALK_INTERVAL) return;
  walking = true;
  const names = directory;
  setText(byId('walk'), 'The daemon adds up the directory.');
  try {
    const response = await fetch(`directories.json?path=${pathOf(names)}`);
    const answer = await response.json();
    if (names === directory) {
      walkedAt = performance.now();
      if (response.ok) showDirectories(answer);
      else if (response.status === 404 && names.length) descend(names.slice(0, -1));
      else if (response.status === 503) askLater(answer);
      else setText(byId('walk'), `The daemon says: ${answer.error}.`);
    }
  } catch (error) {
    setText(byId('walk'), 'The daemon does not answer.');
  }
  walking = false;
  if (names !== directory) updateDirectories();
}

// The walks of all browsers together take at most a twentieth of the time.
function askLater(answer) {
  const wait = 1000 * (answer.retry_after_seconds || REFRESH / 1000);
  walkedAt += wait - WALK_INTERVAL;
  if (wait >= REFRESH) setText(byId('walk'), `The daemon says: ${answer.error}.`);
  setTimeout(updateDirectories, wait + 20);
}

function showDirectories(answer) {
  walk = answer;
  drawTreemap();
  byId('directory-table').replaceChildren(table(['Name', 'Bytes', 'Inodes'],
    itemsOf(answer).map(({name, bytes, inodes}) => [name, asBytes(bytes), asCount(inodes)])));
  const part = answer.complete ? '' : ' The walk was stopped before its end, so a part is missing.';
  setText(byId('walk'), `${asBytes(answer.total.bytes)} in ${asInodes(answer.total.inodes)}, at ${
    asTime(Date.now() / 1000 - answer.age_seconds)}.${part}`);
}

function itemsOf(answer) {
  const {other, files} = answer;
  const items = answer.directories.map((row) => ({...row, names: [...directory,
    {name: row.name, encoded: row.encoded || encodeURIComponent(row.name)}], name: `${asName(row.name)}/`}));
  if (other.count > 0) items.push({...other, name: `${asCount(other.count)} more directories`});
  items.push({...files, name: 'Files in this directory'});
  return items.filter(({bytes}) => bytes > 0).sort((a, b) => b.bytes - a.bytes);
}

function drawTreemap() {
  const map = byId('treemap');
  const focused = [...map.children].indexOf(document.activeElement);
  map.replaceChildren(...squarify(itemsOf(walk), {width: map.clientWidth, height: map.clientHeight})
    .map(drawTile));
  if (focused >= 0) (map.children[focused] || map).focus();
}

function drawTile({item, left, top, width, height}) {
  const size = `${asBytes(item.bytes)}, ${asInodes(item.inodes)}`;
  const tile = make(item.names ? 'button' : 'div', {class: 'tile', title: `${item.name}: ${size}`},
    make('span', {}, make('bdi', {}, item.name)), make('span', {}, asBytes(item.bytes)));
  if (item.names) {
    tile.type = 'button';
    tile.setAttribute('aria-label', `${item.name}: ${size}. Show this directory.`);
    tile.addEventListener('click', () => {
      descend(item.names);
      byId('path').lastChild.focus();
    });
  }
  if (width < 44 || height < 24) tile.classList.add('small');
  else if (height < 46) tile.classList.add('flat');
  Object.assign(tile.style, {left: `${left}px`, top: `${top}px`, width: `${width}px`,
    height: `${height}px`});
  return tile;
}

// ---- history

let samples = [];  // [seconds since 1970, bytes, inodes], one a minute
let next = 0;  // the number of the first sample that the daemon has not sent yet

function keepHistory(status) {
  samples = samples.concat(status.history.samples).slice(-status.history.capacity);
  next = status.history.next;
}

function showHistory(status) {
  const points = [...samples, [status.now, status.size.used, status.inodes.used]];
  drawChart(byId('bytes-chart'), points, 1, asBytes, 1024);
  drawChart(byId('inodes-chart'), points, 2, asCount, 1000);
  const hourly = points.filter(([time], i) => i === points.length - 1 ||
    i === 0 || Math.floor(time / 3600) !== Math.floor(points[i - 1][0] / 3600));
  byId('history-table').replaceChildren(table(['Time', 'Bytes', 'Inodes'],
    hourly.reverse().map(([time, bytes, inodes]) => [asTime(time), asBytes(bytes), asCount(inodes)])));
}

// A value not below `value` that makes good labels.
function roundUp(value, base) {
  const unit = base === 1024 ? 1024 ** Math.floor(Math.log(Math.max(value, 4096)) / Math.log(1024)) :
    10 ** Math.floor(Math.log10(Math.max(value, 10)));
  const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 4, 6, 8, 10];
  return unit * steps.find((step) => step * unit >= value);
}

function drawChart(container, points, index, format, base) {
  const [width, height, left, bottom] = [Math.max(container.clientWidth, 200), 150, 64, 20];
  const values = points.map((point) => point[index]);
  const top = roundUp(Math.max(...values), base);
  const [begin, end] = [points[0][0], points[points.length - 1][0]];
  const x = (time) => left + (width - left - 2) * (end > begin ? (time - begin) / (end - begin) : 1);
  const y = (value) => 8 + (height - bottom - 8) * (1 - value / top);
  const line = points.map((point) => `${x(point[0]).toFixed(1)},${y(point[index]).toFixed(1)}`);
  const now = format(values[values.length - 1]);
  const chart = drawing('svg', {width, height, role: 'img', 'aria-label': `From ${asTime(begin)} to ${
    asTime(end)}: at least ${format(Math.min(...values))}, at most ${
    format(Math.max(...values))}, now ${now}.`});
  for (const value of [0, top / 2, top]) {
    chart.append(drawing('line', {class: 'grid', x1: left, x2: width, y1: y(value), y2: y(value)}),
      drawing('text', {x: left - 6, y: y(value) + 4, 'text-anchor': 'end'}, format(value)));
  }
  const area = `${x(begin)},${y(0)} ${line.join(' ')} ${x(end)},${y(0)}`;
  chart.append(drawing('polygon', {class: 'area', points: area}),
    drawing('polyline', {class: 'line', points: line.join(' ')}),
    drawing('text', {x: width - 1, y: height - 4, 'text-anchor': 'end'}, `now: ${now}`));
  if (end > begin) chart.append(drawing('text', {x: left, y: height - 4}, asClock(begin)));
  if (end > begin + 600) {
    chart.append(drawing('text', {x: (left + width) / 2, y: height - 4, 'text-anchor': 'middle'},
      asClock((begin + end) / 2)));
  }
  container.replaceChildren(chart);
}

// ---- operations

// The answers of the last minutes, the oldest first. At first all that the daemon has counted since
// its start is compared with nothing.
let answers = [];

const countsOf = (operation) => (operation ? operation.latency.buckets.map(([, count]) => count) : []);

// LatencyHistogram::Quantile (include/memfuse/statistics.h).
function quantile(bounds, counts, share) {
  const rank = share * counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  for (let i = 0; i < counts.length; ++i) {
    if (counts[i] > 0 && below + counts[i] >= rank) {
      const lower = i > 0 ? bounds[i - 1] : 0;
      if (bounds[i] === null) return lower;
      return lower + (bounds[i] - lower) * (rank - below) / counts[i];
    }
    below += counts[i];
  }
  return 0;
}

function requestsBetween(earlier, later, name) {
  const requests = ({operations}) => (operations[name] ? operations[name].requests : 0);
  return requests(later) - requests(earlier);
}

function sparkline(name) {
  const [width, height] = [56, 18];
  const rates = answers.slice(1).map((answer, i) =>
    requestsBetween(answers[i], answer, name) / Math.max(answer.uptime - answers[i].uptime, 0.001));
  const most = Math.max(...rates, 1e-9);
  const points = rates.map((rate, i) => `${(width - (rates.length - 1 - i) * width / Math.max(rates.length - 1, 11)).toFixed(1)},${
    (height - 1 - (height - 2) * rate / most).toFixed(1)}`);
  return drawing('svg', {width, height, 'aria-hidden': true},
    drawing('polyline', {class: 'line', points: points.join(' ')}));
}

function operationRow(name, earlier, later) {
  const operation = later.operations[name];
  const before = countsOf(earlier.operations[name]);
  const bounds = operation.latency.buckets.map(([bound]) => bound);
  const counts = countsOf(operation).map((count, i) => count - (before[i] || 0));
  const some = counts.some((count) => count > 0);
  const requests = requestsBetween(earlier, later, name);
  return [name, asRate(requests / Math.max(later.uptime - earlier.uptime, 0.001)), sparkline(name),
    ...[0.5, 0.99].map((share) => (some ? asSeconds(quantile(bounds, counts, share)) : '–'))];
}

function showOperations(status) {
  answers.push(status);
  // The start gives way to the first answer when there is a second.
  if (answers.length > 2 && answers[0].uptime === 0) answers.shift();
  if (answers.length > KEPT) answers.shift();
  const earlier = answers.find(({uptime}) => status.uptime - uptime <= WINDOW) === status ?
    answers[0] : answers.find(({uptime}) => status.uptime - uptime <= WINDOW);
  const span = asDuration(status.uptime - earlier.uptime);
  setText(byId('window'), earlier.uptime === 0 ?
    `Requests per second and latency since the mount was made, ${span} ago.` :
    `Requests per second and latency in the last ${span}; curves of up to ${
      Math.round(KEPT * REFRESH / 60000)} minutes.`);
  const names = Object.keys(status.operations).sort((a, b) =>
    status.operations[b].requests - status.operations[a].requests);
  showSome('operations', names.map((name) => operationRow(name, earlier, status)),
    'The kernel has sent no request.',
    (rows) => [table(['Operation', 'per s', 'Trend', 'p50', 'p99'], rows)]);
}

// ---- refusals

function showRefusals(status) {
  const items = status.refusals.map((refusal) => {
    const format = refusal.limit === 'bytes' ? asBytes : asInodes;
    // The kernel does not always tell the process, which is 0 then, and the user, which is null.
    const by = (refusal.pid ? `, by process ${refusal.pid}` : '') +
      (refusal.uid !== null ? ` of user ${refusal.uid}` : '');
    return make('li', {},
      make('div', {}, make('bdi', {}, `${ownerName(refusal.of, refusal.id, refusal.path)}, ${refusal.limit}`),
        make('span', {}, refusal.count === 1 ? 'once' : `${asCount(refusal.count)} times`)),
      make('p', {class: 'muted'}, `Last ${asTime(refusal.time)}: asked for ${format(refusal.asked)}, ${
        format(refusal.left)} left${by}.`));
  });
  byId('refusals').replaceChildren(items.length ? make('ul', {}, ...items) :
    make('p', {class: 'muted'}, 'No limit has refused anything.'));
}

// ---- the loop

let latest = null;  // the last status
let timer = null;
let fetching = false;
let failedAt = null;  // when the daemon stopped to answer

function setState(className, text) {
  byId('state').className = className;
  setText(byId('state'), text);
}

function show(status) {
  if (latest === null || latest.start !== status.start) {
    // Another daemon serves the port now: what was kept is not of its mount.
    answers = [{uptime: 0, operations: {}}];
    samples = [];
    directory = [];
    walkedAt = -Infinity;
    showPath();
  }
  latest = status;
  keepHistory(status);
  const share = Math.max(status.size.used / status.size.limit,
    status.inodes.limit === null ? 0 : status.inodes.used / status.inodes.limit);
  document.title = `${asPercent(share)} ${asName(status.mount_point)} – memfuse`;
  setText(byId('mount-point'), asName(status.mount_point));
  setText(byId('facts'), `Version ${status.version}, mounted ${asDuration(status.age)} ago, data: ${
    asName(status.store)}, requests: ${asName(status.transport)}.`);
  showSpace(status);
  showQuotas(status);
  showUsers(status);
  showHistory(status);
  showOperations(status);
  showRefusals(status);
  byId('directories').hidden = !status.directories;
  byId('no-directories').hidden = status.directories;
  if (status.directories) updateDirectories();
}

function showAnswered(status) {
  failedAt = null;
  byId('gone').hidden = true;
  byId('content').classList.remove('stale');
  setState('live', 'Live');
  setText(byId('updated'), `updated ${asTime(status.now)}`);
}

function showGone() {
  failedAt = failedAt || Date.now() / 1000;
  byId('content').classList.toggle('stale', latest !== null);
  setState('dead', 'No answer');
  setText(byId('gone'), `The daemon has not answered since ${asTime(failedAt)}. ${latest === null ?
    '' : `The numbers below are those of ${asTime(latest.now)}. `}The page tries again every ${
    REFRESH / 1000} seconds.`);
  byId('gone').hidden = false;
}

async function fetchStatus() {
  const response = await fetch(`status.json?from=${next}`, {signal: AbortSignal.timeout(TIMEOUT)});
  if (!response.ok) throw new Error(`status ${response.status}`);
  const status = await response.json();
  if (latest === null || status.start === latest.start || next === 0) return status;
  next = 0;  // another daemon, whose samples begin anew
  return fetchStatus();
}

async function update() {
  let status = null;
  try {
    status = await fetchStatus();
  } catch (error) {
    showGone();
    return;
  }
  show(status);
  showAnswered(status);
}

async function refresh() {
  if (fetching) return;
  fetching = true;
  try {
    await update();
  } finally {
    fetching = false;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, REFRESH);
  }
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (!document.hidden) refresh();
});
window.addEventListener('resize', () => {
  if (latest === null) return;
  showHistory(latest);
  if (walk !== null) drawTreemap();
});
refresh();
