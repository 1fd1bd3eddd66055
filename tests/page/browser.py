"""A headless Chromium, spoken to by its DevTools protocol through a pair of pipes. Needs nothing but Python."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 30


def find():
    for name in ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]:
        if path := shutil.which(name):
            return path
    return None


class Browser:
    """The browser with one page, and what the page has asked for and complained about."""

    def __init__(self, program, width, height):
        self.folder = tempfile.mkdtemp(prefix="sea-dao-page.")
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()
        flags = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "--no-first-run",
                 "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
                 f"--window-size={width},{height}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        # The browser reads from 3 and writes to 4.
        wired = ["sh", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', program]
        self.process = subprocess.Popen([*wired, *flags], pass_fds=[to_read, to_write], stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.unread, self.number, self.session = b"", 0, None
        self.requests, self.complaints, self.answers = [], [], {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Network", "Runtime", "Log"]:
            self.call(domain + ".enable")
        self.resize(width, height)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- The protocol ----------------------------------------------------------------------------------------------

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while self.number not in self.answers:
            self.listen(until - time.monotonic())
            assert time.monotonic() < until, f"no answer to {method}"
        answer = self.answers.pop(self.number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def listen(self, seconds):
        """Takes in what the browser tells within so many seconds."""
        if not select.select([self.into], [], [], max(0, seconds))[0]:
            return
        self.unread += os.read(self.into, 1 << 20)
        *messages, self.unread = self.unread.split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.hear(message["method"], message["params"])

    def hear(self, event, told):
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"]["exception"].get("description", str(told)))
        elif event == "Runtime.consoleAPICalled" and told["type"] in ["error", "warning", "assert"]:
            self.complaints.append(str(told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ["error", "warning"]:
            self.complaints.append(told["entry"]["text"] + " " + told["entry"].get("url", ""))

    # --- What a person does ----------------------------------------------------------------------------------------

    def go(self, url):
        self.call("Page.navigate", url=url)
        self.eventually("the page is loaded", lambda: self.ask("document.readyState") == "complete")

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer}"
        return answer["result"].get("value")

    def eventually(self, what, check):
        until = time.monotonic() + PATIENCE
        while not (found := check()):
            assert time.monotonic() < until, f"not within {PATIENCE} s: {what}"
            self.listen(0.1)
        return found

    def press(self, key, code=None, text=None):
        event = {"key": key, "code": code or key, **({"text": text} if text else {})}
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        event["windowsVirtualKeyCode"] = codes.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def enter(self):
        self.press("Enter", text="\r")

    def write(self, text):
        self.call("Input.insertText", text=text)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        picture = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        with open(path, "wb") as file:
            file.write(picture)
        return len(picture)
