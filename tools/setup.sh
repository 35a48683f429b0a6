#!/usr/bin/env bash
# Sets up what `make` needs. A second call finds its stamps and returns at once.
#   tools/setup.sh run     Python environment, Spark's Delta jars, class-data archive
#   tools/setup.sh check   Python environment with the development tools, no Java
#   tools/setup.sh test    all of it, the jars of Kafka's broker, and the environment of Airflow
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
AIRFLOW=.venv-airflow
STAMPS=.cache/setup
LOGS=.cache/log
mkdir -p "$STAMPS" "$LOGS"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_WARN_SCRIPT_LOCATION=1

fail() {
    echo "lakecdp: $*" >&2
    exit 1
}

say() { echo "lakecdp: $*"; }

# --- what the machine must have -------------------------------------------------------------

python_ok() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 ||
            fail "PYTHON names \`$PYTHON\`, which is not there: set it to a Python 3.11 or newer."
        python_ok "$PYTHON" ||
            fail "Python 3.11 or newer is needed and PYTHON names \`$PYTHON\`, which is older: install Python 3.11 or set PYTHON to it."
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python; do
        if command -v "$candidate" >/dev/null 2>&1 && python_ok "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and none was found: install it and put \`python3\` on the PATH, or name it with PYTHON=/path/to/python3.11."
}

java_major() { # prints 17 for "17.0.15", 8 for "1.8.0_402"
    "$1" -version 2>&1 | sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' | head -n 1
}

check_java() {
    local java=java major advice
    advice="install a JDK (for example OpenJDK or Temurin 17) and put \`java\` on the PATH or set JAVA_HOME."
    if [ -n "${JAVA_HOME:-}" ]; then
        java="$JAVA_HOME/bin/java"
        [ -x "$java" ] || fail "Java 17 or newer is needed and JAVA_HOME names a folder without bin/java: $advice"
    elif ! command -v java >/dev/null 2>&1; then
        fail "Java 17 or newer is needed and none was found: $advice"
    fi
    major="$(java_major "$java" || true)"
    [ -n "$major" ] || fail "Java 17 or newer is needed and \`java -version\` does not work here: $advice"
    [ "$major" -ge 17 ] || fail "Java 17 or newer is needed and this is Java $major: $advice"
}

# --- stamps ---------------------------------------------------------------------------------

digest() { cat "$@" 2>/dev/null | cksum | tr ' ' '-'; }

done_before() { [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]; }

stamp() { echo "$2" >"$STAMPS/$1"; }

# --- steps ----------------------------------------------------------------------------------

make_venv() { # folder
    # An environment does not survive a move of the tree: its scripts name the folder it was made in.
    if [ -x "$1/bin/python" ] && python_ok "$1/bin/python" && grep -qF "$PWD/$1" "$1/pyvenv.cfg"; then
        return
    fi
    local python
    python="$(find_python)" || exit 1
    rm -rf "$1"
    "$python" -m venv "$1" >"$LOGS/venv.log" 2>&1 || {
        rm -rf "$1"
        fail "Python cannot make an environment (its venv module is missing): install it, on Debian and Ubuntu the package \`python3-venv\`."
    }
}

install() { # environment, name of the log, then arguments of pip
    local env="$1" log="$LOGS/$2.log"
    shift 2
    # With CI or a pipe there is nobody to look at a moving bar.
    if "$env/bin/python" -m pip install --quiet --progress-bar off "$@" >"$log" 2>&1; then return; fi
    if grep -qE 'connection|Connection|timed out|Temporary failure|Max retries|No matching distribution' "$log"; then
        fail "The Python packages cannot be downloaded: connect this machine to the network, or point pip to a package index that it reaches (details: $log)."
    fi
    tail -n 15 "$log" >&2
    fail "The Python packages could not be installed (details: $log)."
}

python_packages() { # name of the stamp, then locks
    local name="$1" key args=() lock
    shift
    key="$(digest requirements/build-lock.txt "$@" pyproject.toml)-$(cd "$VENV" 2>/dev/null && pwd || true)"
    if [ -x "$VENV/bin/python" ] && done_before "$name" "$key"; then return; fi
    make_venv "$VENV"
    say "installing the pinned Python packages of $* into $VENV (a minute or two the first time)"
    for lock in "$@"; do args+=(-r "$lock"); done
    # The build tools come first and are pinned too: nothing is fetched behind pip's back later.
    install "$VENV" build --require-hashes -r requirements/build-lock.txt
    install "$VENV" "$name" --require-hashes --no-build-isolation "${args[@]}"
    install "$VENV" project --no-deps --no-build-isolation --editable .
    key="$(digest requirements/build-lock.txt "$@" pyproject.toml)-$(cd "$VENV" && pwd)"
    stamp "$name" "$key"
}

spark_files() {
    local key
    key="$(digest requirements/lock.txt conf/spark/local.conf tools/spark_setup.py)"
    key="$key-$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | cksum | tr ' ' '-')-$(pwd)"
    if [ -d "$VENV/share/lakecdp/jars" ] && done_before spark "$key"; then return; fi
    say "fetching the jars of Delta Lake and warming up Java for a quick start (about half a minute)"
    "$VENV/bin/python" tools/spark_setup.py </dev/null >"$LOGS/spark.log" 2>&1 || {
        local why
        why="$(sed -n 's/^error: //p' "$LOGS/spark.log" | tail -n 1)"
        fail "${why:-Spark could not be set up} (details: $LOGS/spark.log)."
    }
    stamp spark "$key"
}

server_files() {
    local key why
    key="$(digest tools/servers.xml tools/server_setup.py requirements/lock.txt)"
    if [ -d .cache/servers/kafka ] && done_before servers "$key"; then return; fi
    say "fetching the jars of the Kafka broker that tests start"
    "$VENV/bin/python" tools/server_setup.py </dev/null >"$LOGS/servers.log" 2>&1 || {
        why="$(sed -n 's/^error: //p' "$LOGS/servers.log" | tail -n 1)"
        fail "${why:-The servers for tests could not be set up} (details: $LOGS/servers.log)."
    }
    stamp servers "$key"
}

airflow_packages() {
    local key
    key="$(digest requirements/build-lock.txt requirements/airflow-lock.txt)-$(pwd)"
    if [ -x "$AIRFLOW/bin/airflow" ] && done_before airflow "$key"; then return; fi
    say "installing Airflow into $AIRFLOW, an environment of its own"
    make_venv "$AIRFLOW"
    install "$AIRFLOW" airflow-build --require-hashes -r requirements/build-lock.txt
    install "$AIRFLOW" airflow --require-hashes --no-build-isolation -r requirements/airflow-lock.txt
    stamp airflow "$key"
}

case "${1:-}" in
run)
    check_java
    python_packages run requirements/lock.txt
    spark_files
    ;;
check)
    python_packages run requirements/lock.txt
    python_packages dev requirements/lock.txt requirements/dev-lock.txt
    ;;
test)
    check_java
    python_packages run requirements/lock.txt
    python_packages dev requirements/lock.txt requirements/dev-lock.txt
    spark_files
    server_files
    airflow_packages
    ;;
*)
    fail "tools/setup.sh takes one word: run, check or test."
    ;;
esac
