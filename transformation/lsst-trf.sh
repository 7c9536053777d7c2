#!/bin/sh
# Start lsst-trf from the published runtime. PanDA's `transformation` URL points to this file; the pilot runs it in the
# job's work folder with the job parameters as arguments, and every one of them reaches lsst-trf as it came, but for:
#
#   --runtime=WHAT        versions or paths, separated by ':'      (else $IOD_RUNTIME; else this file's own version,
#                                                                   else the newest there is, else one beside this file)
#   --runtime-roots=DIRS  where versions are, separated by ':'     (else $IOD_RUNTIMES, which a site's queue can set,
#                                                                   else $VO_LSST_SW_DIR and CVMFS)
#
# A runtime is a folder with bin/lsst-trf, a tarball of such a folder, or a zipapp. Guide: docs/how-to/run-under-panda.md
set -u

own_version=0.1.0
cvmfs_roots=/cvmfs/oasis.opensciencegrid.org/lsst:/cvmfs/sw.lsst.eu/imsim-on-demand
look_s=60 # a CVMFS that hangs is as good as none

what=${IOD_RUNTIME-}
roots=${IOD_RUNTIMES-}
[ -n "$roots" ] || roots=${VO_LSST_SW_DIR:+$VO_LSST_SW_DIR:}$cvmfs_roots
workdir=.
reason='' # why the best candidate so far cannot be used
old=''
runtime=''

# ERROR on stderr is what the pilot shows; both reports are written as lsst-trf would.
fail() { # NAME CODE DETAIL ACTION
    text=$(printf '%s: %s; %s' "$1" "$3" "$4" | tr -d '"\\' | tr -c '[:print:]' ' ' | cut -c 1-256)
    echo "ERROR: $text" >&2
    mkdir -p "$workdir" 2>/dev/null
    echo "{\"error_code\": $2, \"error_diag\": \"$text\"}" 2>/dev/null >"$workdir/payload_error_report.json"
    echo "{\"schema_version\": 1, \"exitCode\": $2, \"exitAcronym\": \"$1\", \"exitMsg\": \"$text\"," \
        '"state": "failed", "name": "", "units": [], "resource": {}}' 2>/dev/null >"$workdir/jobReport.json"
    exit "$2"
}

is_there() { # TEST PATH: `test`, bounded in time where the system can
    if command -v timeout >/dev/null; then timeout "$look_s" test "$1" "$2"; else test "$1" "$2"; fi
}

is_new_enough() { # PYTHON
    "$1" -I -S -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 3)' >/dev/null 2>&1
    case $? in
        0) return 0 ;;
        3) old="$1 is older than 3.11" && return 1 ;;
        *) reason="$1 does not start" && return 1 ;;
    esac
}

use_folder() { # FOLDER: set `runtime` if it can run here
    is_there -d "$1" || return 1
    if ! is_there -x "$1/bin/lsst-trf"; then
        [ -n "$reason" ] || reason="$1 has no bin/lsst-trf"
        return 1
    fi
    interpreter=$1/bin/python3
    if ! is_there -x "$interpreter"; then
        # An exec that fails ends the shell with a code that means something else to the pilot.
        read -r first <"$1/bin/lsst-trf"
        case $first in '#!'*) interpreter=${first#??} ;; *) interpreter='' ;; esac
        interpreter=${interpreter%% *}
        [ -x "$interpreter" ] || { reason="$1/bin/lsst-trf needs '$interpreter', which is not here" && return 1; }
    fi
    case $interpreter in *python*) is_new_enough "$interpreter" || return 1 ;; esac
    runtime=$1
}

use_file() { # TARBALL OR ZIPAPP
    is_there -f "$1" || return 1
    case $1 in
        *.pyz)
            for python in ${IOD_PYTHON:+"$IOD_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
                command -v "$python" >/dev/null && is_new_enough "$python" && runtime=$1 && return 0
            done
            [ -n "$old$reason" ] || reason="$1 needs a python3, and there is none"
            return 1
            ;;
    esac
    # lsst-trf removes this folder when it ends: the pilot packs the whole work folder into its log.
    IOD_UNPACKED_RUNTIME=$(mktemp -d "${TMPDIR:-$PWD}/imsim-runtime-XXXXXX") || return 1
    export IOD_UNPACKED_RUNTIME
    tar -xzf "$1" -C "$IOD_UNPACKED_RUNTIME" 2>/dev/null || reason="$1 cannot be unpacked"
    for folder in "$IOD_UNPACKED_RUNTIME" "$IOD_UNPACKED_RUNTIME"/*; do
        [ -d "$folder/bin" ] && use_folder "$folder" && return 0
    done
    rm -rf "$IOD_UNPACKED_RUNTIME"
    unset IOD_UNPACKED_RUNTIME
    return 1
}

use_version() { # VERSION, or '' for the newest
    case $1 in *[!A-Za-z0-9.+_-]*) fail USAGE 10 "--runtime='$1' is neither a version nor a path" "correct it" ;; esac
    for root in $roots; do
        if ! is_there -d "$root"; then
            case $root in
                /cvmfs/*) missing="$missing, ${root} (CVMFS not mounted?)" ;;
                *) missing="$missing, $root (no such folder)" ;;
            esac
            continue
        fi
        missing="$missing, $root"
        version=$1
        [ -n "$version" ] || version=$(ls "$root/imsim-runtime" 2>/dev/null | grep '^[0-9]' | sort -t . -k 1,1n -k 2,2n -k 3,3n | tail -n 1)
        use_folder "$root/imsim-runtime/$version/imsim-runtime-$version" && return 0
        use_folder "$root/imsim-runtime-$version" && return 0
        [ -x "$root/bin/lsst-trf" ] && use_folder "$root" && return 0
    done
    return 1
}

find_runtime() {
    for one in $what; do
        missing=''
        case $one in
            */*) { use_folder "$one" || use_file "$one"; } && return 0 ;;
            *) use_version "$one" && return 0 ;;
        esac
    done
    [ -z "$what" ] || return 1
    missing=''
    use_version "$own_version" && return 0
    missing=''
    use_version '' && return 0
    here=$(dirname -- "$0")
    for one in "$here"/lsst-trf*.pyz "$here"/imsim-runtime*.pyz "$here"/*imsim-runtime*.tar.gz "$here"/*imsim-runtime*.tgz; do
        use_file "$one" && return 0
    done
    return 1
}

# Take our own two options out; `set --` keeps every other argument as it is, empty ones and newlines included.
previous=''
for word; do
    shift
    case $word in
        --runtime=*) what=${word#*=} ;;
        --runtime-roots=*) roots=${word#*=} ;;
        *) set -- "$@" "$word" ;;
    esac
    case $word in --workdir=*) workdir=${word#*=} ;; esac
    [ "$previous" != --workdir ] || workdir=$word
    previous=$word
done
case ${1-} in
    run | plan | register | reconcile | reproduce | doctor | exit-codes) ;;
    *) set -- run "$@" ;;
esac

# What a pilot or a login shell set for another Python is not ours; a crashed simulator's core is not the job's log.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP
export PYTHONNOUSERSITE=1
ulimit -c 0 2>/dev/null

missing=''
old_ifs=$IFS
IFS=:
find_runtime
found=$?
IFS=$old_ifs
if [ $found -ne 0 ]; then
    action='try another worker'
    [ -z "$old" ] || fail PYTHON_TOO_OLD 36 "$old" "$action"
    asked=${what:-$own_version}
    fail RUNTIME_MISSING 35 "no runtime $asked of lsst-trf${missing:+ in ${missing#, }}${reason:+: $reason}" "$action; check CVMFS here"
fi
case $runtime in
    *.pyz) exec "$python" "$runtime" "$@" ;;
    *) exec "$runtime/bin/lsst-trf" "$@" ;;
esac
