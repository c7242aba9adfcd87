# Freezes and thaws IRIS from inside its container: sh -c THIS ha-iris freeze TOKEN SECONDS, or ... thaw TOKEN.
#
# Nothing but a POSIX shell, iris, sleep, mv and rm is used. The exit codes are read by shell.go. Those of IRIS' class methods: 5 is success
# and 3 failure, and IsWDSuspendedExt answers 5 for frozen and 3 for not (CLS Backup.General).
#
# A file tells whose freeze it is and how far: "freezing PID" or "frozen 0". It is gone once nothing of this freeze can be left, and until
# then a process apart from this one, the dead man, stands ready to thaw: it outlives the connection and whoever holds it.
set -u
mark=/tmp/ha-iris-freeze.$2

call() { iris session IRIS -U%SYS "##Class(Backup.General).$1()" </dev/null; }

# suspended returns 0 when the write daemon is suspended, 1 when it is not, 2 when IRIS does not say.
suspended() {
  call IsWDSuspendedExt >/dev/null 2>&1
  case $? in 5) return 0 ;; 3) return 1 ;; *) return 2 ;; esac
}

# thaws thaws, and returns 0 when IRIS says that it is no longer frozen. -B is for logins that hang, or for which there is no licence.
thaws() {
  call ExternalThaw
  [ $? = 5 ] || iris session IRIS -B -U%SYS '##Class(Backup.General).ExternalThaw()' </dev/null
  suspended
  [ $? = 1 ]
}

# write replaces the file in one step: whoever reads it finds a whole line.
write() { echo "$1" >"$mark.new" && mv -f "$mark.new" "$mark"; }

# over says that a freeze that has begun can no longer come into force: it has ended, or never began.
over() { [ "$1" = frozen ] || ! kill -0 "$2" 2>/dev/null; }

# dead_man ends what is left of the freeze after its time, and tries for ten minutes more.
dead_man() {
  trap '' HUP INT
  sleep "$1"
  rounds=0
  while [ $rounds -lt 300 ] && read -r state pid <"$mark"; do
    suspended
    case $? in
    0) thaws ;;
    1) over "$state" "$pid" && rm -f "$mark" ;;
    esac
    rounds=$((rounds + 1))
    sleep 2
  done
}

freeze() {
  suspended
  case $? in
  0) echo "IRIS is frozen already, by somebody else" && return 4 ;;
  2) echo "IRIS does not say whether it is frozen" && return 2 ;;
  esac
  write "freezing $$" || return 2
  # Not as redirections of the function: the shell would keep the old files open beside them, and the connection with them.
  (
    exec </dev/null >/dev/null 2>&1
    dead_man "$1"
  ) &
  kill -0 $! || { rm -f "$mark" && return 2; }
  # The process that freezes is known before it does.
  sh -c 'echo "freezing $$" >"$0.new" && mv -f "$0.new" "$0" &&
		exec iris session IRIS -U%SYS "##Class(Backup.General).ExternalFreeze()" </dev/null' "$mark" &
  wait $!
  code=$?
  suspended
  case $code/$? in
  5/0) write "frozen 0" && return 5 ;;
  3/1) rm -f "$mark" && return 3 ;;
  *) echo "the freeze ended with code $code, and IRIS does not say what it should then" ;;
  esac
  return 2
}

thaw() {
  held=yes
  read -r state pid <"$mark" 2>/dev/null || held=no
  suspended
  case $held/$? in
  no/0) echo "IRIS is frozen, by somebody else" && return 4 ;;
  no/1) return 7 ;;
  yes/0) thaws && rm -f "$mark" && return 5 ;;
  yes/1)
    over "$state" "$pid" || return 8
    rm -f "$mark"
    return 7
    ;;
  *) echo "IRIS does not say whether it is frozen" && return 2 ;;
  esac
  echo "IRIS is still frozen"
  return 6
}

case $1 in
freeze) freeze "$3" ;;
thaw) thaw ;;
*) echo "what to do: got $1, want freeze or thaw" && exit 64 ;;
esac
