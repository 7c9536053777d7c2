#!/bin/sh
# Start lsst-trf from the published runtime. PanDA's `transformation` URL points to this file; the pilot runs it in the
# job's work folder, and every argument reaches lsst-trf as it came, but for these two, which are taken out:
#
#   --runtime=LIST         versions or paths (default: $IOD_RUNTIME; else the version below, else any, else a tarball or
#                          zipapp beside this file)
#   --runtime-roots=LIST   folders with versions, or runtimes (default: $IOD_RUNTIMES, which a site's queue sets; else
#                          $VO_LSST_SW_DIR and CVMFS)
#
# Lists are separated by ':' and tried in order. A runtime is a folder with bin/lsst-trf, a tarball of one, or a zipapp.
# Guide: docs/how-to/run-under-panda.md
set -u

own_version=0.1.0
asked=${IOD_RUNTIME-}
roots=${IOD_RUNTIMES:-${VO_LSST_SW_DIR:+$VO_LSST_SW_DIR:}/cvmfs/oasis.opensciencegrid.org/lsst}
workdir=.
looked='' # where there was no runtime
broken='' # why a runtime that is there cannot be used
old=''    # a Python that is too old

fail() { # NAME CODE DETAIL ACTION: as lsst-trf does; the pilot shows the line, PanDA's rules read the files
    text="$1: $(printf '%s' "$3" | tr -cd ' !#-[]-~' | cut -c 1-180); $4"
    echo "ERROR: $text" >&2
    {
        mkdir -p "$workdir" && cd "$workdir" &&
            echo "{\"error_code\": $2, \"error_diag\": \"$text\"}" >payload_error_report.json &&
            echo "{\"schema_version\": 1, \"exitCode\": $2, \"exitAcronym\": \"$1\", \"exitMsg\": \"$text\"," \
                '"state": "failed", "name": "", "units": [], "resource": {}}' >jobReport.json
    } 2>/dev/null
    exit "$2"
}

check_python() { # PYTHON
    "$1" -ESc 'import sys; sys.exit(3 * (sys.version_info < (3, 11)))' >/dev/null 2>&1
    case $? in
        0) return 0 ;;
        3) old="$1 is older than Python 3.11" ;;
        *) broken="$1 does not start" ;;
    esac
    return 1
}

use_folder() { # FOLDER: set `start` if it is a runtime that can run here
    [ -x "$1/bin/lsst-trf" ] || return 1
    # A shell takes an empty file for a script that does nothing, and ends with 0.
    if ! [ -f "$1/bin/lsst-trf" ] || ! [ -s "$1/bin/lsst-trf" ]; then
        broken="$1/bin/lsst-trf is no program"
        return 1
    fi
    # Look before the leap: a failed exec would end this shell with a code that means something else to the pilot.
    interpreter=$1/bin/python3
    if ! [ -L "$interpreter" ] && ! [ -e "$interpreter" ]; then
        read -r interpreter <"$1/bin/lsst-trf"
        interpreter=${interpreter#'#!'}
        interpreter=${interpreter%% *}
    fi
    case $interpreter in *python*) check_python "$interpreter" || return 1 ;; esac
    start=$1/bin/lsst-trf
}

use_zipapp() { # FILE
    broken="no Python here starts $1"
    for python in ${IOD_PYTHON:+"$IOD_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$python" >/dev/null && check_python "$python" && start=$1 && return 0
    done
    return 1
}

use_tarball() { # FILE
    # lsst-trf removes the folder at its end: the pilot packs the whole work folder into its log.
    broken="$1 cannot be unpacked in ${TMPDIR:-$PWD}"
    IOD_UNPACKED_RUNTIME=$(mktemp -d "${TMPDIR:-$PWD}/imsim-runtime-XXXXXX" 2>/dev/null) || return 1
    export IOD_UNPACKED_RUNTIME
    if tar -xzf "$1" -C "$IOD_UNPACKED_RUNTIME" 2>/dev/null; then
        broken="$1 holds no runtime"
        for folder in "$IOD_UNPACKED_RUNTIME" "$IOD_UNPACKED_RUNTIME"/*; do
            use_folder "$folder" && return 0
        done
    fi
    rm -rf "$IOD_UNPACKED_RUNTIME"
    unset IOD_UNPACKED_RUNTIME
    return 1
}

use_path() { # PATH
    case $1 in
        *.pyz) [ -f "$1" ] && use_zipapp "$1" ;;
        *.tar.gz | *.tgz) [ -f "$1" ] && use_tarball "$1" ;;
        *) use_folder "$1" ;;
    esac
}

look_into() { # FOLDER: a CVMFS that hangs is as good as none
    if command -v timeout >/dev/null; then timeout 60 ls "$1"; else ls "$1"; fi
}

use_version() { # VERSION, or * for any
    case $1 in *[!A-Za-z0-9.+_*-]*) fail USAGE 10 "--runtime=$1 is neither a version nor a path" 'correct it' ;; esac
    for root in $roots; do
        looked="$looked, $root"
        if ! look_into "$root" >/dev/null 2>&1; then
            case $root in /cvmfs/*) looked="$looked (CVMFS not mounted?)" ;; esac
            continue
        fi
        # shellcheck disable=SC2086 # the version may be a pattern
        for folder in "$root"/imsim-runtime/$1/imsim-runtime-$1 "$root"/imsim-runtime-$1; do
            use_folder "$folder"
        done
        [ -n "$start" ] || { [ -z "$asked" ] && use_folder "$root"; }
        [ -z "$start" ] || return 0
    done
    return 1
}

find_runtime() {
    for one in $asked; do
        case $one in
            */*) use_path "$one" && return 0 ;;
            *) use_version "$one" && return 0 ;;
        esac
    done
    [ -z "$asked" ] || return 1
    use_version "$own_version" && return 0
    looked=''
    use_version '*' && return 0
    here=$(dirname -- "$0")
    for one in "$here"/*lsst-trf*.pyz "$here"/*imsim-runtime*.pyz "$here"/*imsim-runtime*gz; do
        use_path "$one" && return 0
    done
    return 1
}

previous=''
for word; do
    shift
    case $word in
        --runtime=*) asked=${word#*=} ;;
        --runtime-roots=*) roots=${word#*=} ;;
        *) set -- "$@" "$word" ;;
    esac
    case $previous in --workdir) workdir=$word ;; esac
    case $word in --workdir=*) workdir=${word#*=} ;; esac
    previous=$word
done
case ${1-} in
    run | plan | register | reconcile | reproduce | doctor | exit-codes | --version) ;;
    *) set -- run "$@" ;;
esac

# What a pilot or a login shell set for another Python is not ours; and no simulator's core belongs in the job's log.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP
export PYTHONNOUSERSITE=1
# shellcheck disable=SC3045 # where -c is unknown, nothing is lost
ulimit -c 0 2>/dev/null

start=''
old_ifs=$IFS
IFS=:
find_runtime
IFS=$old_ifs
case $start in
    '') ;;
    *.pyz) exec "$python" "$start" "$@" ;;
    *) exec "$start" "$@" ;;
esac
[ -z "$old" ] || fail PYTHON_TOO_OLD 36 "$old" 'try another worker'
fail RUNTIME_MISSING 35 "${broken:-no runtime ${asked:-$own_version}${looked:+ in${looked#,}}}" \
    'try another worker; check CVMFS here'
