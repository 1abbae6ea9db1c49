"""report.html as a browser shows it: headless Chromium opens pages at several widths, light and dark. No request leaves a page, no page is wider
than its window, nothing is blank, and a pointer on a chart shows the numbers that lie there. Part of `make soak`: docker/soak.sh installs the
browser. LOCKSTEP_SCREENSHOTS=DIRECTORY keeps the screenshots, to be looked at."""

import base64
import contextlib
import fcntl
import io
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import numpy as np
from PIL import Image

import common
import reports

WIDTHS = (400, 900, 1600)
PROGRAMS = ("chromium-headless-shell", "chromium")


class Refusal:
    """A proxy that refuses everything, and keeps what it was asked for."""

    def __init__(self):
        self.asked, self.server = [], socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            with contextlib.suppress(OSError):
                connection, _ = self.server.accept()
                with connection:
                    connection.settimeout(5)
                    self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class Browser:
    """Chromium, told what to do by its own protocol over two pipes."""

    def __init__(self, directory):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        assert program, f"none of {PROGRAMS} is installed: docker/soak.sh installs it"
        self.refusal = Refusal()
        from_here, to_there = os.pipe()
        from_there, to_here = os.pipe()
        theirs = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (from_here, to_here)]  # the protocol's are 3 and 4
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", program, "--headless", "--hide-scrollbars", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", f"--user-data-dir={directory}/profile",
             f"--proxy-server=http://127.0.0.1:{self.refusal.port}", "--proxy-bypass-list=<-loopback>"],
            pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=(directory / "browser.log").open("w"), start_new_session=True)
        for descriptor in (from_here, to_here, *theirs):
            os.close(descriptor)
        self.read_from, self.write_to, self.number, self.bytes, self.events = from_there, to_there, 0, b"", []

    def message(self, seconds=60):
        end = time.monotonic() + seconds
        while b"\0" not in self.bytes:
            ready, _, _ = select.select([self.read_from], [], [], max(0, end - time.monotonic()))
            assert ready, f"the browser has said nothing for {seconds} s"
            more = os.read(self.read_from, 1 << 20)
            assert more, "the browser has ended"
            self.bytes += more
        text, _, self.bytes = self.bytes.partition(b"\0")
        return json.loads(text)

    def do(self, method, session=None, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.write_to, json.dumps(request).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                assert "result" in message, (method, message)
                return message["result"]
            self.events.append(message)

    def wait_for(self, event):
        while not any(message["method"] == event for message in self.events):
            self.events.append(self.message())

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.read_from)
        os.close(self.write_to)


class Shown:
    """A page in a window."""

    def __init__(self, browser, path, width, scheme):
        self.browser, self.width = browser, width
        self.target = browser.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.do("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.events.clear()
        self.do("Page.navigate", url=path.as_uri())
        browser.wait_for("Page.loadEventFired")
        self.own = path.as_uri()

    def do(self, method, **parameters):
        return self.browser.do(method, self.session, **parameters)

    def value(self, expression):
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def requests(self):
        """What the page asked for, but for itself and what it holds."""
        time.sleep(0.1)
        self.value("1")
        asked = [event["params"]["request"]["url"] for event in self.browser.events if event["method"] == "Network.requestWillBeSent"]
        assert self.own in asked, asked
        return [url for url in asked if url != self.own and not url.startswith("data:")]

    def complaints(self):
        """Of the browser: a script that failed, or what the page's policy forbids."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [event["params"] for event in self.browser.events if event["method"] in kinds]

    def too_wide(self):
        """What reaches beyond the window, but for what is scrolled within its card."""
        return self.value("""(() => { const wide = [];
            if (document.documentElement.scrollWidth > innerWidth) wide.push('the page: ' + document.documentElement.scrollWidth);
            for (const e of document.body.querySelectorAll('*')) {
              if (e.closest('.wide') && !e.matches('.wide')) continue;
              const box = e.getBoundingClientRect();
              if (!box.width || (box.right <= innerWidth + 1 && box.left >= -1)) continue;
              wide.push(e.tagName + '.' + (e.className.baseVal ?? e.className) + ' ' + box.left + '-' + box.right);
            }
            for (const e of document.querySelectorAll('.card .end, .card .value')) {
              const beyond = e.getBoundingClientRect().right - e.closest('.card').getBoundingClientRect().right;
              if (e.getBoundingClientRect().width && beyond > 0) wide.push(e.textContent + ': ' + beyond + ' beyond its card');
            }
            return wide; })()""")

    def overlapping(self):
        """Texts of charts that lie on each other."""
        return self.value("""(() => { const found = [];
            for (const plot of document.querySelectorAll('.plot')) for (const kind of ['.y', '.x, .xname', '.end']) {
              const boxes = [...plot.querySelectorAll(kind)].map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, b]) => b.width);
              for (let i = 0; i < boxes.length; ++i) for (let j = 0; j < i; ++j) {
                const [a, b] = [boxes[i][1], boxes[j][1]];
                if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
                  found.push(plot.closest('figure').id + ': ' + boxes[j][0] + ' and ' + boxes[i][0]);
              }
            }
            return found; })()""")

    def screenshot(self):
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        png = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                      clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})["data"]
        return base64.b64decode(png)

    def pointed_at_the_end(self, chart):
        """What the chart says under a pointer at its right edge."""
        box = self.value(f"(() => {{ const p = document.querySelector('#{chart} .plot'); p.scrollIntoView({{block: 'center'}}); "
                         "const b = p.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()")
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] - 0.02, y=box[1] + box[3] / 2)
        return self.value(f"document.querySelector('#{chart} .tip:not([hidden])')?.innerText")

    def close(self):
        self.browser.do("Target.closeTarget", targetId=self.target)


def check_picture(png, width, scheme):
    """That there is something on it: cards on a ground of the scheme, and lines of several colours."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert pixels.shape[1] == width, pixels.shape
    light = np.median(pixels.reshape(-1, 3).sum(1)) / 3
    assert light > 240 if scheme == "light" else light < 40, (scheme, light)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    assert len(colours) > 100 and counts.max() < 0.97 * counts.sum(), (len(colours), counts.max() / counts.sum())
    strong = (pixels.max(2) - pixels.min(2) > 80).mean()
    assert strong > 0.002, f"{strong:.4%} of the picture has a colour"


def check(browser, path, name):
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            shown = Shown(browser, path, width, scheme)
            png = shown.screenshot()
            if place := os.environ.get("LOCKSTEP_SCREENSHOTS"):
                pathlib.Path(place).mkdir(parents=True, exist_ok=True)
                pathlib.Path(place, f"{name}-{width}-{scheme}.png").write_bytes(png)
            what = f"{name}, {width} pixels, {scheme}"
            assert not shown.too_wide(), f"{what}: {shown.too_wide()}"
            assert not shown.overlapping(), f"{what}: {shown.overlapping()}"
            assert not shown.complaints(), f"{what}: {shown.complaints()}"
            assert not shown.requests(), f"{what}: {shown.requests()}"
            check_picture(png, width, scheme)
            shown.close()


def check_pointer(browser, path):
    """The last point of the loss, as the page's data have it."""
    chart = reports.Page(path).chart("loss")
    shown = Shown(browser, path, 900, "light")
    lines = shown.pointed_at_the_end("loss").splitlines()
    number = lambda text: float(re.search(r"[\d.,e+-]+$", text)[0].replace(",", ""))
    assert lines[0].startswith("step ") and number(lines[0]) == chart["lines"][0]["x"][-1], lines
    for line, text in zip(chart["lines"], lines[1:], strict=True):
        assert abs(number(text) - line["y"][-1]) <= 1e-3 * abs(line["y"][-1]), (text, line["y"][-1])
    shown.close()


def faults_are_seen(browser, directory):
    """That these checks can fail."""
    page = directory / "faulty.html"
    page.write_text("<!doctype html><style>*{margin:0}</style><div style='width:2000px'>wide</div><img src='http://example.com/a.png'>"
                    "<div class=card style='width:50px;white-space:nowrap'><span class=end>longer than its card</span></div>"
                    "<script>missing()</script>")
    shown = Shown(browser, page, 900, "light")
    assert shown.requests() == ["http://example.com/a.png"] and shown.complaints()
    wide = shown.too_wide()
    assert any("the page: 2000" in text for text in wide) and any("beyond its card" in text for text in wide), wide
    assert any("example.com/a.png" in line for line in browser.refusal.asked), browser.refusal.asked
    for scheme in ("light", "dark"):
        try:
            check_picture(shown.screenshot(), 2000, scheme)
        except AssertionError:
            continue
        raise RuntimeError("an empty page is taken for one")
    shown.close()
    browser.refusal.asked.clear()


@common.in_directory(pathlib.Path)
def pages_are_shown_and_ask_for_nothing(directory):
    pages = {}
    for name, changes in {"run": {}, "other": {"learning_rate": 0.05, "epochs": 2}}.items():
        (directory / name).mkdir()
        reports.trained(directory / name, **changes)
        pages[name] = reports.output(directory / name) / "report.html"
    both = directory / "both.html"
    common.run(["report", directory / "run" / "output", directory / "other" / "output", "-o", both])
    (directory / "long").mkdir()
    reports.long_history(directory / "long" / "metrics.jsonl", 30_000)
    common.run(["report", directory / "long"])
    browser = Browser(directory)
    try:
        faults_are_seen(browser, directory)
        for name, path in {"run": pages["run"], "both": both, "long": directory / "long" / "report.html"}.items():
            check(browser, path, name)
            check_pointer(browser, path)
        assert not browser.refusal.asked, browser.refusal.asked
    finally:
        browser.close()


if __name__ == "__main__":
    common.main(pages_are_shown_and_ask_for_nothing)
