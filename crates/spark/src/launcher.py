"""Runs one attempt of a job inside a Spark driver, and at most once.

    launcher.py FOLDER TOKEN       the supervisor, started by Spark
    launcher.py --class FOLDER     its child, where the application is a class of the driver's JVM

FOLDER is shared with the engine that made it. `task.json` says what to run; it has another token
where the folder was made anew. Who links `claim.json` first has the attempt: all other drivers do
nothing. What the program says goes to `out.txt` and
`err.txt`, how it ended to `end.json`. A file `stop.json` asks it to end. The program is a process
group, which ends with its supervisor, which ends with the JVM of the driver. Needs Python 3.8 and
Linux.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

LAUNCHER = os.path.abspath(__file__)

# A worker starts each driver in a folder of its own, named by the driver's id.
DRIVER = os.path.basename(os.getcwd())

OUT = "out.txt"
ERR = "err.txt"

# How long a program may take to end when its JVM is gone: nobody waits for it any more.
ORPHAN_GRACE = 3.0

# How long one may take to end whose time is over.
LATE_GRACE = 10.0

# How often the supervisor looks for a request to stop.
LOOK = 0.5


def path(folder, name):
    return os.path.join(folder, name)


def load(folder, name):
    with open(path(folder, name), encoding="utf-8") as file:
        return json.load(file)


def put(folder, name, document):
    """Makes a file whole or not at all. Tells whether it was this call that made it."""
    draft = path(folder, ".%s.%s" % (DRIVER, name))
    with open(draft, "x", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path(folder, name))
        return True
    except FileExistsError:
        # Over a network the answer of a link that was made can get lost, and it is tried again.
        return os.stat(draft).st_nlink > 1
    finally:
        os.unlink(draft)


class Program:
    """The application as a process group."""

    def __init__(self, folder, task):
        parent = os.getpid()
        libc = ctypes.CDLL(None)

        def prepare():
            os.setpgid(0, 0)
            libc.prctl(1, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        command = task["command"]
        if task["class"]:
            command = [sys.executable, "-u", LAUNCHER, "--class", folder]
        elif command[0].endswith(".py"):
            command = [sys.executable, "-u"] + command
        environment = dict(os.environ)
        environment.update(task["environment"])
        opened = [(task["stdin"], "rb"), (path(folder, OUT), "ab"), (path(folder, ERR), "ab")]
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(name, mode, 0)) for name, mode in opened]
            self.process = subprocess.Popen(
                command,
                stdin=files[0],
                stdout=files[1],
                stderr=files[2],
                cwd=path(folder, "work"),
                env=environment,
                preexec_fn=prepare,
            )
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def wait(self):
        """Waits for its end, ends what it left, and returns how it ended."""
        # It is reaped last: until then nobody else can have its number.
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        with self.lock:
            self.ended.set()
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        return {"exit": code} if code >= 0 else {"signal": -code}

    def stop(self, grace):
        """Asks it to end, and after the grace sees to it."""
        self.signal(signal.SIGTERM)
        self.ended.wait(grace)
        self.signal(signal.SIGKILL)

    def signal(self, number):
        with self.lock:
            if not self.ended.is_set():
                os.killpg(self.process.pid, number)


def supervise(folder, token):
    task = load(folder, "task.json")
    if task["token"] != token or not put(folder, "claim.json", {"driver": DRIVER}):
        print("jobwright: this driver does nothing: the attempt is not, or no more, its own")
        return 0
    try:
        program = Program(folder, task)
    except OSError as error:
        put(folder, "end.json", {"unstarted": str(error)})
        return 127
    orphaned = threading.Event()
    late = threading.Event()

    def until_the_jvm_ends():
        while os.read(0, 4096):
            pass
        orphaned.set()
        program.stop(ORPHAN_GRACE)

    def until_it_is_asked_to_stop():
        while not os.path.exists(path(folder, "stop.json")):
            time.sleep(LOOK)
        program.stop(load(folder, "stop.json")["grace"])

    def until_its_time_is_over():
        if not program.ended.wait(task["time"]):
            late.set()
            program.stop(LATE_GRACE)

    watches = [until_the_jvm_ends, until_it_is_asked_to_stop]
    if task["time"]:
        watches.append(until_its_time_is_over)
    for watch in watches:
        threading.Thread(target=watch, daemon=True).start()
    end = program.wait()
    # Without its JVM the program was cut short, or the JVM ended it: the driver's state tells.
    if orphaned.is_set():
        return 1
    put(folder, "end.json", {"late": True} if late.is_set() else end)
    return end.get("exit", 1)


def run_class(folder):
    """Calls `main` of a class in the driver's own JVM, as spark-submit would."""
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.java_gateway import launch_gateway

    task = load(folder, "task.json")
    gateway = launch_gateway()
    lang = gateway.jvm.java.lang
    for name, put_stream in ((OUT, lang.System.setOut), (ERR, lang.System.setErr)):
        stream = gateway.jvm.java.io.FileOutputStream(path(folder, name), True)
        put_stream(gateway.jvm.java.io.PrintStream(stream, True))
    arguments = gateway.new_array(lang.String, len(task["command"]) - 1)
    for at, argument in enumerate(task["command"][1:]):
        arguments[at] = argument
    loader = lang.Thread.currentThread().getContextClassLoader()
    try:
        kinds = gateway.new_array(lang.Class, 1)
        kinds[0] = arguments.getClass()
        main = lang.Class.forName(task["class"], True, loader).getMethod("main", kinds)
        values = gateway.new_array(lang.Object, 1)
        values[0] = arguments
        main.invoke(None, values)
    except Py4JJavaError as error:
        thrown = error.java_exception
        # What `main` threw is within what calling it threw.
        thrown = thrown.getCause() or thrown
        thrown.printStackTrace()
        print(thrown.toString(), file=sys.stderr)
        return 1
    except Py4JError:
        # The class has ended the JVM: how, the state of the driver tells. The supervisor will
        # notice, and end this.
        signal.pause()
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--class":
        sys.exit(run_class(sys.argv[2]))
    sys.exit(supervise(sys.argv[1], sys.argv[2]))
