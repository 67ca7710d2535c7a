#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong command lines, images and QMP messages: a clear error that names what is wrong, no crash.

The tables say what has to be in the message.  Where scripts or management programs may look at
the text it is stock's; a case that stock accepts in silence, or crashes on, is marked OURS.
"""

import fcntl
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import unittest

import common
from common import tap
from qtest_client import Line, Machine, Qmp, TestError, accelerator, exit_text

OURS = object()
TIMEOUT = 60

UHCI = '-device piix3-usb-uhci,id=uhci,addr=01.2'
BOT = UHCI + ' -device usb-bot,id=b'
NODE = '-blockdev driver=null-co,node-name=n0,size=1048576,read-zeroes=on'
LONG_NAME = 'x' * 60

# arguments, then what the message has to contain
COMMAND_LINES = [
    # options
    ('-nosuchoption', '-nosuchoption: invalid option'),
    ('--nosuchoption', 'nosuchoption: invalid option'),
    ('-device', '-device: requires an argument'),
    ('-drive', '-drive: requires an argument'),
    ('-blockdev', '-blockdev: requires an argument'),
    ('-machine', '-machine: requires an argument'),
    ('-global', '-global: requires an argument'),
    ('-incoming', '-incoming: requires an argument'),
    ('-name', '-name: requires an argument'),
    ('-no-user-config -nosuch', '-nosuch: invalid option'),
    # devices
    ('-device nosuch', "-device nosuch: 'nosuch' is not a valid device model name"),
    ('-device nosuch,id=x', "'nosuch' is not a valid device model name"),
    ('-device ,id=x', "'' is not a valid device model name"),
    ('-device id=x', "Parameter 'driver' is missing"),
    ('-device usb-kbd', "No 'usb-bus' bus found for device 'usb-kbd'"),
    (UHCI + ' -device usb-storage', '-device usb-storage: drive property not set'),
    (UHCI + ' -device usb-storage,drive=nosuch',
     "Property 'usb-storage.drive' can't find value 'nosuch'"),
    (UHCI + ' -device usb-storage,drive=', 'drive property not set'),
    (UHCI + ' -device usb-kbd,nosuch=1', "Property 'usb-kbd.nosuch' not found"),
    (UHCI + ' -device usb-kbd,port=9', 'usb port 9 (bus uhci.0) not found (in use?)'),
    (UHCI + ' -device usb-kbd,port=x', 'usb port x (bus uhci.0) not found (in use?)'),
    (UHCI + ' -device usb-kbd,port=1 -device usb-mouse,port=1',
     'usb port 1 (bus uhci.0) not found (in use?)'),
    (UHCI + ' -device usb-hub,port=1 -device usb-kbd,port=1.9',
     'usb port 1.9 (bus uhci.0) not found (in use?)'),
    (UHCI + ' -device usb-hub,port=1 -device usb-hub,port=1.1 -device usb-hub,port=1.1.1'
     ' -device usb-hub,port=1.1.1.1 -device usb-hub,port=1.1.1.1.1'
     ' -device usb-hub,port=1.1.1.1.1.1', 'usb hub chain too deep'),
    (UHCI + ' -device usb-kbd,bus=nosuch', "Bus 'nosuch' not found"),
    (UHCI + ' -device usb-kbd,bus=pci.0', "Device 'usb-kbd' can't go on PCI bus"),
    (UHCI + ' -device usb-kbd,id=a -device usb-mouse,id=a', "Duplicate ID 'a' for device"),
    (UHCI + ' -device usb-kbd,id=1a', "Parameter 'id' expects an identifier"),
    (UHCI + ' -device usb-kbd,id=a/b', "Parameter 'id' expects an identifier"),
    ('-device piix3-usb-uhci,addr=01.0', 'slot 1 function 0 not available for piix3-usb-uhci'),
    ('-device piix3-usb-uhci,addr=zz',
     "Property 'piix3-usb-uhci.addr' doesn't take value 'zz'"),
    ('-device piix3-usb-uhci,addr=40',
     "Property 'piix3-usb-uhci.addr' doesn't take value '40'"),
    ('-device piix3-usb-uhci,bus=nosuch', "Bus 'nosuch' not found"),
    ('-device piix3-usb-uhci,maxframes=abc', "Parameter 'maxframes' expects"),
    ('-device piix3-usb-uhci,multifunction=maybe',
     "Parameter 'multifunction' expects 'on' or 'off'"),
    ('-device piix3-usb-uhci,bandwidth=-1', "Parameter 'bandwidth' expects uint32_t"),
    ('-device scsi-cd', "No 'SCSI' bus found for device 'scsi-cd'"),
    (BOT + ' -device scsi-hd,bus=b.0', 'drive property not set'),
    (BOT + ' -device scsi-cd,bus=b.0,lun=5 -device scsi-cd,bus=b.0,lun=5',
     '-device scsi-cd,bus=b.0,lun=5: '),
    (BOT + ' -device scsi-cd,bus=b.0,lun=16', 'bad scsi device lun: 16'),
    (BOT + ' -device scsi-cd,bus=b.0,scsi-id=1', 'bad scsi device id: 1'),
    (BOT + ' -device scsi-cd,bus=b.0,channel=1', 'bad scsi channel id: 1'),
    (BOT + ' ' + NODE + ' -device scsi-hd,bus=b.0,drive=n0,logical_block_size=1000',
     'logical_block_size', 'power of 2'),
    (BOT + ' ' + NODE + ' -device scsi-hd,bus=b.0,drive=n0,logical_block_size=4096,'
     'physical_block_size=512', 'logical_block_size > physical_block_size not supported'),
    (BOT + ' ' + NODE + ' -device scsi-hd,bus=b.0,drive=n0,werror=nosuch',
     "Parameter 'werror' does not accept value 'nosuch'"),
    (BOT + ' ' + NODE + ' -device scsi-hd,bus=b.0,drive=n0 -device usb-storage,drive=n0',
     '-device usb-storage,drive=n0: ', "'n0'"),
    ('%s %s -device usb-storage,drive=n0,serial=%s' % (UHCI, NODE, LONG_NAME),
     "serial number can't be longer than 36 characters"),
    (UHCI + ' -device usb-storage,drive=d0 -drive if=none,id=d0',
     'Device needs media, but drive is empty'),
    (BOT + ' -device scsi-hd,bus=b.0,drive=d0 -drive if=none,id=d0',
     'Device needs media, but drive is empty'),
    ('-device PIIX3', "Parameter 'driver' expects a pluggable device type"),
    ('-device i440FX', "Parameter 'driver' expects a pluggable device type"),
    ('-device device', "Parameter 'driver' expects a non-abstract device type"),
    ('-M none -device piix3-usb-uhci', "No 'PCI' bus found for device 'piix3-usb-uhci'"),
    ("-device '{\"driver\":\"nosuch\"}'", "'nosuch' is not a valid device model name"),
    (UHCI + " -device '{\"driver\":\"usb-kbd\",\"nosuch\":1}'",
     "Property 'usb-kbd.nosuch' not found"),
    (UHCI + " -device '{\"driver\":\"usb-kbd\",\"port\":1}'",
     "Invalid parameter type for 'port', expected: string"),
    ("-device '{\"id\":\"a\"}'", "Parameter 'driver' is missing"),
    (UHCI + " -device '{\"driver\":\"usb-kbd\"'", 'JSON parse error'),
    ("-device '{bad'", 'JSON parse error'),
    # drives and nodes
    ('-drive file=/nonexistent,if=none,id=d0,format=raw',
     "Could not open '/nonexistent': No such file or directory"),
    ('-drive file={dir},if=none,id=d0,format=raw', '{dir}'),
    ('-drive file={img},if=none,id=d0,format=nosuch', "Unknown driver 'nosuch'"),
    ('-drive file={img},if=nosuch,id=d0,format=raw', "unsupported bus type 'nosuch'"),
    ('-drive file={img},if=none,id=d0,format=raw -drive file={img},if=none,id=d0,format=raw',
     "Duplicate ID 'd0' for drive"),
    ('-drive file={img},if=none,id=d0,format=raw,nosuch=1', "'nosuch'"),
    ('-drive file={img},if=none,id=d0,format=raw,cache=nosuch', 'invalid cache option'),
    ('-drive file={img},if=none,id=d0,format=raw,aio=nosuch', 'invalid aio option'),
    ('-drive file={img},if=none,id=d0,format=raw,aio=native',
     'aio=native was specified, but it requires cache.direct=on'),
    ('-drive file={img},if=none,id=d0,format=raw,media=nosuch', "'nosuch' invalid media"),
    ('-drive file={img},if=none,id=d0,format=raw,werror=nosuch',
     "'nosuch' invalid write error action"),
    ('-drive file={img},if=none,id=d0,format=raw,readonly=maybe', "expects 'on' or 'off'"),
    ('-drive file=,if=none,id=d0,format=raw', '-drive file=,if=none,id=d0,format=raw: '),
    ('-drive file=nosuchproto:x,if=none,id=d0', "Unknown protocol 'nosuchproto'"),
    ('-blockdev driver=nosuch,node-name=a', "Parameter 'driver' does not accept value 'nosuch'"),
    ('-blockdev driver=file,node-name=a', "Parameter 'filename' is missing"),
    ('-blockdev driver=file,node-name=a,filename=/nonexistent',
     "Could not open '/nonexistent': No such file or directory"),
    ('-blockdev driver=file,node-name=a,filename={dir}', '{dir}'),
    ('-blockdev driver=file,node-name=a,filename={img},nosuch=1',
     "Parameter 'nosuch' is unexpected"),
    ('-blockdev driver=file,filename={img}', "'node-name' must be specified for the root node"),
    ('-blockdev driver=raw,node-name=a', "Parameter 'file' is missing"),
    ('-blockdev driver=raw,node-name=a,file=nosuch',
     "Cannot find device='nosuch' nor node-name='nosuch'"),
    ('-blockdev driver=null-co,node-name=a -blockdev driver=null-co,node-name=a',
     "Duplicate nodes with node-name='a'"),
    ('-blockdev driver=null-co,node-name=0a', "Invalid node-name: '0a'"),
    ('-blockdev driver=null-co,node-name=' + LONG_NAME, 'Node name too long'),
    ('-blockdev driver=null-co,node-name=a,size=abc', "Parameter 'size' expects"),
    ('-blockdev driver=null-co,node-name=a,size=-1', 'size', OURS),
    ('-blockdev driver=null-co,node-name=a,read-zeroes=maybe',
     "Parameter 'read-zeroes' expects 'on' or 'off'"),
    ('-blockdev driver=file,node-name=a,filename={img},aio=nosuch',
     "Parameter 'aio' does not accept value 'nosuch'"),
    ('-blockdev driver=file,node-name=a,filename={img},aio=native',
     'aio=native was specified, but it requires cache.direct=on'),
    ('-blockdev driver=file,node-name=a,filename={img},locking=nosuch',
     "Parameter 'locking' does not accept value 'nosuch'"),
    ('-blockdev driver=raw,node-name=a,offset=2097152,file.driver=file,file.filename={img}',
     'Offset (2097152) cannot be greater than size of the containing file (1048576)'),
    ('-blockdev driver=raw,node-name=a,size=2097152,file.driver=file,file.filename={img}',
     'The sum of offset (0) and size (2097152) has to be smaller or equal to the'),
    ("-blockdev '{{\"driver\":\"file\",\"node-name\":\"a\",\"filename\":5}}'",
     "Invalid parameter type for 'filename', expected: string"),
    ("-blockdev '{{\"node-name\":\"a\"}}'", "Parameter 'driver' is missing"),
    ("-blockdev '{{\"driver\":\"file\",\"node-name\":\"a\",\"filename\":\"x\","
     "\"cache\":{{\"nosuch\":true}}}}'", "Parameter 'cache.nosuch' is unexpected"),
    ("-blockdev '{{'", 'JSON parse error'),
    # machines and memory
    ('-M nosuch', 'unsupported machine type', 'Use -machine help to list supported machines'),
    ('-M pc-i440fx-1.0', 'unsupported machine type'),
    ('-M pc,nosuch=1', '-machine.nosuch\' not found'),
    ('-M pc,usb=maybe', "Parameter 'usb' expects 'on' or 'off'"),
    ('-M pc,memory-backend=nosuch', "Memory backend 'nosuch' not found"),
    ('-accel nosuch', 'nosuch', OURS),
    ('-m abc', "Parameter 'size' expects"),
    ('-m 128X', "Parameter 'size' expects"),
    ('-m -1', "'size'"),
    ('-m 128,nosuch=1', "Invalid parameter 'nosuch'"),
    ('-m 99999999999999999999', "Value '99999999999999999999' is out of range"),
    ('-smp 0', 'must be greater than zero'),
    ('-smp abc', "Parameter 'smp.cpus' expects"),
    ('-smp cpus=2,nosuch=1', "Parameter 'smp.nosuch' is unexpected"),
    # objects
    ('-object nosuch,id=a', "Parameter 'qom-type' does not accept value 'nosuch'"),
    ('-object memory-backend-ram', "Parameter 'id' is missing"),
    ('-object memory-backend-ram,id=a', "Parameter 'size' is missing"),
    ('-object memory-backend-ram,id=a,size=0',
     'size', '0'),
    ('-object memory-backend-ram,id=a,size=abc', "Parameter 'size' expects"),
    ('-object memory-backend-ram,id=a,size=1M,nosuch=1', "'nosuch'"),
    ('-object memory-backend-ram,id=a,size=1M -object memory-backend-ram,id=a,size=1M', "'a'"),
    ('-object memory-backend-file,id=a,size=1M', "Parameter 'mem-path' is missing"),
    ('-object memory-backend-file,id=a,size=1M,mem-path=/nonexistent/x',
     "/nonexistent/x", 'No such file or directory'),
    ('-object memory-backend-memfd,id=a,size=1M,share=maybe',
     "Parameter 'share' expects 'on' or 'off'"),
    ('-object memory-backend-ram,id=a,size=64M -M pc,memory-backend=a -m 128',
     'Machine memory size does not match the size of the memory backend'),
    ("-object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"a\",\"size\":\"x\"}'",
     "Parameter 'size' expects"),
    # globals
    ('-global nosuch', "'such'", OURS),
    (UHCI + ' -global usb-kbd.nosuch=1 -device usb-kbd',
     "can't apply global usb-kbd.nosuch=1: Property 'usb-kbd.nosuch' not found"),
    (BOT + ' -global scsi-cd.migrate-emulated-scsi-request=maybe -device scsi-cd,bus=b.0',
     "Parameter 'migrate-emulated-scsi-request' expects 'on' or 'off'", OURS),
    # character devices and monitors
    ('-chardev nosuch,id=a', "'nosuch' is not a valid char driver name"),
    ('-chardev null', 'no id specified'),
    ('-chardev null,id=a -chardev null,id=a', "Duplicate ID 'a' for chardev"),
    ('-chardev socket,id=a', '-chardev socket,id=a: '),
    ('-chardev socket,id=a,path=/nonexistent/s',
     "Failed to connect to '/nonexistent/s': No such file or directory"),
    ('-chardev socket,id=a,path=/nonexistent/s,server=on,wait=off',
     'Failed to bind socket to /nonexistent/s: No such file or directory'),
    ('-chardev socket,id=a,host=localhost', 'no port given'),
    ('-chardev file,id=a', 'no filename given'),
    ('-chardev file,id=a,path=/nonexistent/x',
     "Could not open '/nonexistent/x': No such file or directory"),
    ('-chardev null,id=a,nosuch=1', "Invalid parameter 'nosuch'"),
    ('-chardev socket,id=a,path={dir}/s,server=maybe', "Parameter 'server' expects 'on' or 'off'"),
    ('-mon chardev=nosuch', 'chardev "nosuch" not found'),
    ('-mon chardev=a,mode=nosuch -chardev null,id=a',
     "Parameter 'mode' does not accept value 'nosuch'"),
    ('-mon chardev=a,mode=control -mon chardev=a,mode=control -chardev null,id=a', "'a'", 'in use'),
    ('-qmp nosuch', 'nosuch'),
    ('-qmp unix:/nonexistent/s,server=on,wait=off',
     'Failed to bind socket to /nonexistent/s: No such file or directory'),
    ('-monitor nosuch', 'nosuch'),
    ('-qtest nosuch', 'nosuch'),
    # migration
    ('-incoming nosuch', 'nosuch'),
    ('-incoming nosuch:x', 'unknown migration protocol: nosuch'),
    ('-incoming tcp:nosuch', "nosuch"),
    ('-incoming unix:/nonexistent/s',
     'Failed to bind socket to /nonexistent/s: No such file or directory'),
    ('-incoming fd:99', '99', OURS),
    ('-incoming fd:abc', 'abc'),
    ('-incoming file:/nonexistent', "Could not open '/nonexistent': No such file or directory"),
    ("-incoming '{\"channel-type\":\"main\"}'", "Parameter 'addr' is missing"),
    # the rest
    ('-bios /nonexistent', "'/nonexistent'"),
    ('-uuid nosuch', 'nosuch', OURS),
    ('-pidfile /nonexistent/x', "/nonexistent/x': No such file or directory"),
    ('-D /nonexistent/x', '/nonexistent/x'),
    ('-readconfig /nonexistent', '-readconfig'),
    ('-daemonize -monitor stdio', 'cannot use stdio with -daemonize'),
    ('-kernel /nonexistent', "could not open kernel file '/nonexistent'"),
    ('nosuch.img', "nosuch.img"),
]

# message, error class, what the description has to contain; None: it has to succeed
QMP_MESSAGES = [
    ('{"execute":"nosuch"}', 'CommandNotFound', 'The command nosuch has not been found'),
    ('{"execute":5}', 'GenericError', "QMP input member 'execute' must be a string"),
    ('{"exec":"x"}', 'GenericError', "QMP input member 'exec' is unexpected"),
    ('{}', 'GenericError', "QMP input lacks member 'execute'"),
    ('[]', 'GenericError', 'QMP input must be a JSON object'),
    ('"x"', 'GenericError', 'QMP input must be a JSON object'),
    ('5 ', 'GenericError', 'QMP input must be a JSON object'),
    ('null ', 'GenericError', 'QMP input must be a JSON object'),
    ('{"execute":"query-status","arguments":5}', 'GenericError',
     "QMP input member 'arguments' must be an object"),
    ('{"execute":"query-status","arguments":{"a":1}}', 'GenericError',
     "Parameter 'a' is unexpected"),
    ('{"execute":"query-status","nosuch":1}', 'GenericError',
     "QMP input member 'nosuch' is unexpected"),
    ('{"execute":"a","exec-oob":"b"}', 'GenericError', 'clashes'),
    ('{"execute":"qmp_capabilities"}', 'CommandNotFound',
     'Capabilities negotiation is already complete, command ignored'),
    ('{"execute":"device_del"}', 'GenericError', "Parameter 'id' is missing"),
    ('{"execute":"device_del","arguments":{"id":5}}', 'GenericError',
     "Invalid parameter type for 'id', expected: string"),
    ('{"execute":"device_del","arguments":{"id":"x","y":1}}', 'GenericError',
     "Parameter 'y' is unexpected"),
    ('{"execute":"device_del","arguments":{"id":"nosuch"}}', 'DeviceNotFound',
     "Device 'nosuch' not found"),
    ('{"execute":"device_del","arguments":{"id":""}}', None, ''),
    ('{"execute":"device_add"}', 'GenericError', "Parameter 'driver' is missing"),
    ('{"execute":"device_add","arguments":{"driver":"nosuch"}}', 'GenericError',
     "'nosuch' is not a valid device model name"),
    ('{"execute":"device_add","arguments":{"driver":5}}', 'GenericError',
     "'5' is not a valid device model name", OURS),
    ('{"execute":"device_add","arguments":{"driver":"usb-kbd"}}', 'GenericError',
     "No 'usb-bus' bus found for device 'usb-kbd'"),
    ('{"execute":"device_add","arguments":{"driver":"piix3-usb-uhci","maxframes":"x"}}',
     'GenericError', "Parameter 'maxframes' expects"),
    ('{"execute":"device_add","arguments":{"driver":"piix3-usb-uhci","nosuch":5}}',
     'GenericError', "Property 'piix3-usb-uhci.nosuch' not found"),
    ('{"execute":"device_add","arguments":{"driver":"piix3-usb-uhci","bus":"nosuch"}}',
     'GenericError', "Bus 'nosuch' not found"),
    ('{"execute":"device_add","arguments":{"driver":"PIIX3"}}', 'GenericError',
     "Parameter 'driver' expects a pluggable device type"),
    ('{"execute": nul}', 'GenericError', 'JSON parse error'),
    ('{"execute":"query-status" "id":1}', 'GenericError', 'JSON parse error'),
    ('@', 'GenericError', 'JSON parse error'),
    ('{"execute":"query\\u0000"}', 'CommandNotFound', 'has not been found'),
    ("{'execute':'query-status'}", None, None),
    ('{"execute":"query-status","id":{"a":[1,2.5,null,true]}}', None, None),
    ('{"execute":"query-status","id":18446744073709551615}', None, None),
    ('{"execute":"query-status","id":123456789012345678901234567890}', None, None),
    ('{"exec-oob":"query-status"}', 'GenericError', 'OOB'),
    ('{"exec-oob":5}', 'GenericError', "QMP input member 'exec-oob' must be a string"),
    ('{"execute":"qom-get","arguments":{"path":"/machine","property":"nosuch"}}',
     'GenericError', ".nosuch' not found"),
    ('{"execute":"qom-get","arguments":{"path":"/nosuch","property":"x"}}', 'DeviceNotFound',
     "Device '/nosuch' not found"),
    ('{"execute":"qom-list","arguments":{"path":"/nosuch"}}', 'DeviceNotFound',
     "Device '/nosuch' not found"),
    ('{"execute":"qom-set","arguments":{"path":"/machine","property":"type","value":"x"}}',
     'GenericError', 'is not writable'),
    ('{"execute":"qom-list-properties","arguments":{"typename":"nosuch"}}', 'DeviceNotFound',
     "Class 'nosuch' not found"),
    ('{"execute":"device-list-properties","arguments":{"typename":"nosuch"}}', 'DeviceNotFound',
     "Device 'nosuch' not found"),
    ('{"execute":"device-list-properties","arguments":{"typename":"device"}}', 'GenericError',
     "Parameter 'typename' expects a non-abstract device type"),
    ('{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"m"}}',
     'GenericError', "Parameter 'size' is missing"),
    ('{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"m",'
     '"size":"1M"}}', 'GenericError', "'size'"),
    ('{"execute":"object-add","arguments":{"qom-type":"nosuch","id":"m"}}', 'GenericError',
     "Parameter 'qom-type' does not accept value 'nosuch'"),
    ('{"execute":"object-add","arguments":{"id":"m"}}', 'GenericError',
     "Parameter 'qom-type' is missing"),
    ('{"execute":"object-add","arguments":{"qom-type":"memory-backend-ram","id":"0x",'
     '"size":4096}}', 'GenericError', "Parameter 'id' expects an identifier"),
    ('{"execute":"object-del","arguments":{"id":"nosuch"}}', 'GenericError',
     "object 'nosuch' not found"),
    ('{"execute":"chardev-add","arguments":{"id":"qmp","backend":{"type":"null","data":{}}}}',
     'GenericError', "Chardev with id 'qmp' already exists"),
    ('{"execute":"chardev-add","arguments":{"id":"c2","backend":{"type":"nosuch","data":{}}}}',
     'GenericError', "does not accept value 'nosuch'"),
    ('{"execute":"chardev-add","arguments":{"id":"c2","backend":{"type":"socket","data":{}}}}',
     'GenericError', "Parameter 'backend.data.addr' is missing"),
    ('{"execute":"chardev-add","arguments":{"id":"c2","backend":{"type":"socket","data":{"addr":'
     '{"type":"unix","data":{"path":"/nonexistent/s"}},"server":false}}}}', 'GenericError',
     "Failed to connect to '/nonexistent/s': No such file or directory"),
    ('{"execute":"chardev-remove","arguments":{"id":"nosuch"}}', 'GenericError',
     "Chardev 'nosuch' not found"),
    ('{"execute":"human-monitor-command"}', 'GenericError',
     "Parameter 'command-line' is missing"),
    ('{"execute":"getfd","arguments":{"fdname":"x"}}', 'GenericError',
     'No file descriptor supplied via SCM_RIGHTS'),
    ('{"execute":"closefd","arguments":{"fdname":"x"}}', 'GenericError',
     "File descriptor named 'x' not found"),
    ('{"execute":"blockdev-add","arguments":{"driver":"nosuch","node-name":"a"}}',
     'GenericError', "Parameter 'driver' does not accept value 'nosuch'"),
    ('{"execute":"blockdev-add","arguments":{"driver":"null-co"}}', 'GenericError',
     "'node-name' must be specified for the root node"),
    ('{"execute":"blockdev-add","arguments":{"driver":"file","node-name":"b",'
     '"filename":"/nonexistent"}}', 'GenericError',
     "Could not open '/nonexistent': No such file or directory"),
    ('{"execute":"blockdev-add","arguments":{"driver":"file","node-name":"b"}}',
     'GenericError', "Parameter 'filename' is missing"),
    ('{"execute":"blockdev-add","arguments":{"driver":"raw","node-name":"b","file":"nosuch"}}',
     'GenericError', "Cannot find device='nosuch' nor node-name='nosuch'"),
    ('{"execute":"blockdev-add","arguments":{"driver":"null-co","node-name":"x","size":"1"}}',
     'GenericError', "Invalid parameter type for 'size', expected: integer"),
    ('{"execute":"blockdev-add","arguments":{"driver":"null-co","node-name":"x","size":-1}}',
     'GenericError', "size", OURS),
    ('{"execute":"blockdev-add","arguments":{"driver":"null-co","node-name":"#x"}}',
     'GenericError', "'#x'"),
    ('{"execute":"blockdev-del","arguments":{"node-name":"nosuch"}}', 'GenericError',
     "Failed to find node with node-name='nosuch'"),
    ('{"execute":"eject","arguments":{"id":"nosuch"}}', None, "nosuch"),
    ('{"execute":"migrate"}', 'GenericError', ''),
    ('{"execute":"migrate","arguments":{"uri":"nosuch"}}', 'GenericError', 'nosuch'),
    ('{"execute":"migrate","arguments":{"uri":"nosuch:x"}}', 'GenericError',
     'unknown migration protocol: nosuch'),
    ('{"execute":"migrate","arguments":{"uri":"tcp:x"}}', 'GenericError', 'x'),
    ('{"execute":"migrate","arguments":{"uri":"fd:nosuch"}}', 'GenericError',
     "File descriptor named 'nosuch' has not been found"),
    ('{"execute":"migrate","arguments":{"uri":"file:/nonexistent/f"}}', 'GenericError',
     "/nonexistent/f"),
    ('{"execute":"migrate","arguments":{"uri":"exec:cat>/dev/null","channels":[]}}',
     'GenericError', "channels", OURS),
    ('{"execute":"migrate","arguments":{"channels":[]}}', 'GenericError', ''),
    ('{"execute":"migrate-incoming","arguments":{"uri":"tcp:127.0.0.1:0"}}', 'GenericError',
     "'-incoming' was not specified on the command line"),
    ('{"execute":"migrate-continue","arguments":{"state":"nosuch"}}', 'GenericError',
     "does not accept value 'nosuch'"),
    ('{"execute":"migrate-continue","arguments":{"state":"pre-switchover"}}', 'GenericError',
     'Migration not in expected state: none'),
    ('{"execute":"migrate-set-parameters","arguments":{"nosuch":1}}', 'GenericError',
     "Parameter 'nosuch' is unexpected"),
    ('{"execute":"migrate-set-parameters","arguments":{"downtime-limit":99999999}}',
     'GenericError', 'downtime'),
    ('{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":-1}}', 'GenericError',
     "'max_bandwidth'", OURS),
    ('{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":"1"}}', 'GenericError',
     "'max-bandwidth'"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"nosuch","state":true}]}}', 'GenericError', "'nosuch'"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"events"}]}}', 'GenericError', ".state' is missing"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":'
     '[{"capability":"events","state":1}]}}', 'GenericError', ".state'"),
    ('{"execute":"migrate-set-capabilities","arguments":{"capabilities":5}}', 'GenericError',
     "'capabilities'"),
    ('{"execute":"migrate_cancel"}', None, None),
]


class Workspace(unittest.TestCase):
    """A directory with images; nothing may be added to it or taken away."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.names = {'dir': os.path.join(self.folder, 'dir'),
                      'img': os.path.join(self.folder, 'img'),
                      'empty': os.path.join(self.folder, 'empty')}
        os.mkdir(self.names['dir'])
        self.write('img', bytes(1 << 20))
        self.write('empty', b'')

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def check_files(self):
        found = sorted(os.path.join(root, name)[len(self.folder) + 1:]
                       for root, dirs, files in os.walk(self.folder) for name in dirs + files)
        self.assertEqual(found, ['dir', 'empty', 'img'])

    def run_emulator(self, args, command=common.TERN, **options):
        """Run it to its end; one that goes on is stopped and has the status None."""
        accel = [] if '-accel' in args else ['-accel', accelerator(command)]
        process = subprocess.Popen([*command, '-nodefaults', '-display', 'none', *accel, '-S', *args],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.folder, **options)
        try:
            out, err = process.communicate(timeout=TIMEOUT)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            status = None
        return status, out.decode('utf-8', 'replace'), err.decode('utf-8', 'replace')

    def refused(self, args, words, **options):
        status, out, err = self.run_emulator(args, **options)
        told = '%s\nstdout: %s\nstderr: %s' % (exit_text(status), out, err)
        self.assertEqual(status, 1, told)
        for word in words:
            self.assertIn(word, err, told)
        self.assertLess(err.count('\n'), 8, told)
        self.check_files()


class CommandLine(Workspace):
    """One point per line of the table."""


class Images(Workspace):
    def image_args(self, path, extra=''):
        return shlex.split('-drive file=%s,if=none,id=d0,format=raw%s %s -device usb-storage,drive=d0'
                           % (path, extra, UHCI))

    def bound_by_modes(self):
        """Tern's command for a user whom file modes hold back, which root is only without these."""
        if os.geteuid() != 0:
            return common.TERN
        if not shutil.which('setpriv'):
            self.skipTest('setpriv is not installed')
        return ('setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--', *common.TERN)

    def test_unreadable(self):
        os.chmod(self.names['img'], 0)
        self.refused(self.image_args(self.names['img']),
                     ["Could not open '%s': Permission denied" % self.names['img']],
                     command=self.bound_by_modes())

    def test_not_writable(self):
        os.chmod(self.names['img'], 0o444)
        self.refused(self.image_args(self.names['img']), [self.names['img'], 'Permission denied'],
                     command=self.bound_by_modes())

    def test_empty(self):
        """An empty file is a disc of no sectors, as in stock: it starts, and answers."""
        with common.machine(self.image_args(self.names['empty'])) as vm:
            node = vm.qmp.command('query-block')[0]['inserted']
            self.assertEqual(node['image']['virtual-size'], 0)
        self.check_files()

    def test_second_writer(self):
        """Of two writers of an image the second is refused, and the first goes on."""
        args = self.image_args(self.names['img'])
        words = ['Failed to get "write" lock',
                 'Is another process using the image [%s]?' % self.names['img']]
        with common.machine(args) as vm:
            self.refused(args, words)
            self.refused(shlex.split('-blockdev driver=file,node-name=f,filename=%s %s '
                                     '-device usb-storage,drive=f' % (self.names['img'], UHCI)), words)
            vm.qmp.command('query-status')
        with common.machine(args) as vm:
            vm.qmp.command('query-status')

    def test_reader_of_what_is_written(self):
        args = self.image_args(self.names['img'])
        reader = shlex.split('-drive file=%s,if=none,id=d0,format=raw,media=cdrom %s '
                             '-device scsi-cd,bus=b.0,drive=d0' % (self.names['img'], BOT))
        with common.machine(args):
            self.refused(reader, ['Failed to get shared "write" lock', self.names['img']])
        with common.machine(reader):
            with common.machine(reader) as second:
                second.qmp.command('query-status')
            self.refused(args, ['Failed to get "write" lock', self.names['img']])

    def test_locking_off(self):
        args = self.image_args(self.names['img'])
        with common.machine(args):
            with common.machine(self.image_args(self.names['img'], ',file.locking=off')) as vm:
                vm.qmp.command('query-status')

    def test_second_writer_is_stock(self):
        """Tern and stock see each other's locks."""
        if common.stock() is None:
            self.skipTest('qemu-system-x86_64 is not installed')
        args = self.image_args(self.names['img'])
        command, _ = common.stock()
        words = ['Failed to get "write" lock', self.names['img']]
        with Machine(command, args, accel='tcg'):
            self.refused(args, words)
        with common.machine(args):
            self.refused(args, words, command=command)

    def test_hot_plugged_second_writer(self):
        """blockdev-add and device_add meet the lock as the command line does."""
        with common.machine(self.image_args(self.names['img'])), \
                common.machine(shlex.split(UHCI)) as vm:
            vm.qmp.command('blockdev-add', {'driver': 'file', 'node-name': 'f',
                                            'filename': self.names['img']})
            with self.assertRaisesRegex(TestError, 'Failed to get "write" lock'):
                vm.qmp.command('device_add', {'driver': 'usb-storage', 'id': 's', 'drive': 'f'})
            self.assertNotIn('usb-storage', vm.qmp.hmp('info qtree'))
            vm.qmp.command('blockdev-del', {'node-name': 'f'})

    def test_hot_plug(self):
        """What the wrong cases are not: all kinds of devices come and go while the machine runs."""
        nodes = ['-blockdev', 'driver=null-co,node-name=n0', '-blockdev', 'driver=null-co,node-name=n1']
        with common.machine(shlex.split(UHCI) + nodes) as vm:
            for number in range(3):
                for driver, options in (
                        ('usb-hub', {'port': '1'}), ('usb-kbd', {'port': '1.1'}),
                        ('usb-storage', {'drive': 'n0', 'port': '1.2'}), ('usb-bot', {'port': '2'}),
                        ('scsi-cd', {'bus': 'usb-bot.0', 'lun': 0}),
                        ('scsi-hd', {'bus': 'usb-bot.0', 'lun': 1, 'drive': 'n1'})):
                    vm.qmp.command('device_add', {'driver': driver, 'id': driver, **options})
                gone = ('scsi-hd', 'usb-kbd', 'usb-hub', 'usb-bot') if number else (
                    'scsi-cd', 'usb-bot', 'usb-storage', 'usb-hub')
                for name in gone:
                    vm.qmp.command('device_del', {'id': name})
                    while vm.qmp.wait_event('DEVICE_DELETED')['data'].get('device') != name:
                        pass
                tree = vm.qmp.hmp('info qtree')
                self.assertNotIn('scsi-', tree)
                self.assertNotIn('dev: usb-', tree)
                self.assertEqual(len(vm.qmp.command('query-named-block-nodes')), 2)
            vm.qmp.command('device_add', {'driver': 'piix4-usb-uhci', 'id': 'other', 'addr': '05.0'})
            self.assertIn('dev: piix4-usb-uhci', vm.qmp.hmp('info qtree'))

    def test_locked_by_another_program(self):
        """An advisory lock of fcntl() that is not an emulator's is no reason to refuse."""
        with open(self.names['img'], 'r+b') as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
            with common.machine(self.image_args(self.names['img'])) as vm:
                vm.qmp.command('query-status')


class QmpInput(unittest.TestCase):
    """One point per message of the table, all on one connection, and what needs its own."""

    vm = None

    @classmethod
    def setUpClass(cls):
        cls.vm = common.machine(['-machine', 'pc', '-S'], qtest=False, negotiate=False)
        cls.vm.qmp.command('qmp_capabilities', {'enable': ['oob']})

    @classmethod
    def tearDownClass(cls):
        cls.vm.close()

    def setUp(self):
        self.fresh = []

    def tearDown(self):
        for vm in self.fresh:
            vm.close()

    def new(self, negotiate=True, args=('-machine', 'none', '-S')):
        vm = common.machine(list(args), qtest=False, negotiate=negotiate)
        self.fresh.append(vm)
        return vm

    def send(self, vm, data):
        """Send bytes and a query-status; returns the answers before the latter's."""
        line = vm.qmp.line
        mark = 'mark-%d' % id(data)
        line.send(data + b'\n' + json.dumps({'execute': 'query-status', 'id': mark}).encode() + b'\n')
        answers = []
        while True:
            text = line.readline(TIMEOUT).decode('utf-8')
            answer = json.loads(text)
            if answer.get('id') == mark:
                return answers
            if 'event' not in answer:
                answers.append(answer)

    def check(self, message, kind, words):
        vm = self.vm
        self.assertIsNone(vm.process.poll(), vm.stderr())
        answers = self.send(vm, message.encode() if isinstance(message, str) else message)
        self.assertGreaterEqual(len(answers), 1, message)
        if kind is None and words is None:
            self.assertIn('return', answers[0])
            return
        self.assertIn('error', answers[0])
        if kind:
            self.assertEqual(answers[0]['error']['class'], kind, answers)
        self.assertIn(words, answers[0]['error']['desc'])
        self.assertNotEqual(answers[0]['error']['desc'], '')

    def test_before_capabilities(self):
        """Only qmp_capabilities is possible at first."""
        vm = self.new(negotiate=False)
        for name in ('query-status', 'nosuch', 'quit'):
            answer = vm.qmp.raw({'execute': name})
            self.assertEqual(answer['error']['class'], 'CommandNotFound')
            self.assertIn("Expecting capabilities negotiation with 'qmp_capabilities'",
                          answer['error']['desc'])
        answer = vm.qmp.raw({'execute': 'qmp_capabilities', 'arguments': {'enable': ['nosuch']}})
        self.assertIn("does not accept value 'nosuch'", answer['error']['desc'])
        answer = vm.qmp.raw({'execute': 'query-status'})
        self.assertEqual(answer['error']['class'], 'CommandNotFound')
        vm.qmp.command('qmp_capabilities')
        vm.qmp.command('query-status')

    def test_oob_only_if_enabled(self):
        vm = self.new()
        answer = vm.qmp.raw({'exec-oob': 'query-status', 'id': 1})
        self.assertEqual(answer['error']['class'], 'GenericError')
        other = self.new(negotiate=False)
        self.assertIn('oob', other.qmp.greeting['QMP']['capabilities'])
        other.qmp.command('qmp_capabilities', {'enable': ['oob']})
        answer = other.qmp.raw({'exec-oob': 'query-status', 'id': 2})
        self.assertEqual(answer['id'], 2)
        self.assertIn('The command query-status does not support OOB', answer['error']['desc'])
        answer = other.qmp.raw({'exec-oob': 'nosuch'})
        self.assertEqual(answer['error']['class'], 'CommandNotFound')
        other.qmp.command('query-status')

    def test_ids_come_back(self):
        for number in (0, -1, 2.5, 'text', None, True, {'a': [1, {}]}, '\u00e9\U0001f600'):
            answer = self.vm.qmp.raw({'execute': 'nosuch', 'id': number})
            self.assertEqual(answer['id'], number)

    def test_nesting(self):
        """Depth is limited; the session recovers."""
        vm = self.new()
        for opening, closing in (('[', ']'), ('{"a":', '}')):
            deep = opening * 2000 + ('' if opening == '[' else '1') + closing * 2000
            answers = self.send(vm, deep.encode())
            self.assertIn('error', answers[0])
        answers = self.send(vm, b'{"execute":"query-status","id":' + b'[' * 500 + b']' * 500 + b'}')
        self.assertIn('return', answers[0])

    def flood(self, vm, chunk, limit):
        """Send it again and again until something comes back; returns the bytes sent."""
        sock = vm.qmp.line.sock
        sock.setblocking(False)
        sent = 0
        while sent < limit:
            readable, writable, _ = select.select([sock], [sock], [], TIMEOUT)
            self.assertTrue(readable or writable, 'blocked after %d MiB' % (sent >> 20))
            if readable:
                sock.setblocking(True)
                self.assertIn('error', json.loads(vm.qmp.line.readline()))
                return sent
            sent += sock.send(chunk)
        self.fail('no error after %d MiB' % (sent >> 20))
        return None

    def test_nesting_that_never_ends(self):
        """Opening brackets without end are refused while they come, not gathered."""
        for opening in (b'[', b'{"a":'):
            self.flood(self.new(), opening * 1000, 64 << 20)

    def test_huge_string(self):
        """One of 8 MiB comes back as it was."""
        vm = self.new()
        text = 'x' * (8 << 20)
        answer = vm.qmp.raw({'execute': 'query-status', 'id': text})
        self.assertEqual(answer['id'], text)
        vm.qmp.command('query-status')

    def test_string_that_never_ends(self):
        """It is not gathered for ever; an error comes, and the program goes on."""
        vm = self.new()
        vm.qmp.line.send(b'{"execute":"')
        self.flood(vm, b'x' * (1 << 20), 192 << 20)
        self.assertIsNone(vm.process.poll())

    def test_invalid_utf8(self):
        """Bytes that are not UTF-8 are an error, and answers are UTF-8 whatever came."""
        vm = self.new()
        for text in (b'\xff', b'\xe2\x82', b'\xc3'):
            answers = self.send(vm, b'{"execute":"query-status","id":"' + text + b'"}')
            self.assertIn('error', answers[0], text)
        # a surrogate, NUL the long way, beyond U+10FFFF: an error, or an answer that is UTF-8
        for text in (b'\xed\xa0\x80', b'\xc0\x80', b'\xf4\x90\x80\x80'):
            self.send(vm, b'{"execute":"query-status","id":"' + text + b'"}')
        for text in (b'\x00', b'\x01', b'\x7f\x80', b'\xfe'):
            answers = self.send(vm, text)
            self.assertIn('error', answers[0], text)

    def test_two_in_one_write(self):
        vm = self.new()
        answers = self.send(vm, b'{"execute":"query-name","id":1}{"execute":"nosuch","id":2} '
                                b'{"execute":"query-name","id":3}')
        self.assertEqual([answer['id'] for answer in answers], [1, 2, 3])
        self.assertIn('error', answers[1])

    def test_input_that_ends_at_once(self):
        """echo COMMANDS | emulator -qmp stdio: all are answered though the input is at its end."""
        names = ['qmp_capabilities', 'query-status', 'nosuch', 'quit']
        done = subprocess.run([*common.TERN, '-machine', 'none', '-nodefaults', '-display', 'none',
                               '-accel', accelerator(common.TERN), '-qmp', 'stdio'],
                              input=''.join('{"execute":"%s"}' % name for name in names).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=TIMEOUT)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        kinds = [next(iter(set(answer) - {'timestamp', 'data'})) for answer in answers]
        kinds = [kind for kind in kinds if kind != 'event']
        self.assertEqual(kinds, ['QMP', 'return', 'return', 'error', 'return'])
        self.assertEqual((done.returncode, done.stderr), (0, b''))

    def test_byte_by_byte(self):
        vm = self.new()
        for byte in b'{"execute": "query-name", "id": "slow"}\n':
            vm.qmp.line.send(bytes([byte]))
        self.assertEqual(json.loads(vm.qmp.line.readline())['id'], 'slow')

    def test_client_goes_away_in_a_message(self):
        """A new client of a listening socket finds a clean session."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'qmp')
            vm = self.new(args=('-machine', 'none', '-S', '-qmp',
                                'unix:%s,server=on,wait=off' % path))
            for number in range(5):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(path)
                line = Line(sock, 'second monitor')
                qmp = Qmp(line, negotiate=False)
                if number & 1:
                    qmp.command('qmp_capabilities')
                line.send([b'{"execute":', b'{"execute":"query-qmp-schema"}', b'[[[', b'"',
                           b'{"execute":"query-status"}'][number])
                line.close()
            vm.qmp.command('quit')
            self.assertEqual(vm.wait(), 0)
            self.assertEqual(os.listdir(folder), [])

    def test_client_that_does_not_read(self):
        """Answers wait for a client that does not read; another monitor is not held up."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'qmp')
            vm = self.new(args=('-machine', 'none', '-S', '-qmp',
                                'unix:%s,server=on,wait=off' % path))
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            line = Line(sock, 'second monitor')
            Qmp(line)
            sock.setblocking(False)
            message = b'{"execute":"query-qmp-schema"}\n'
            sent = 0
            while sent < 400 * len(message):
                try:
                    sent += sock.send(message * 20)
                except BlockingIOError:
                    break
            before = resident(vm)
            for _ in range(20):
                vm.qmp.command('query-status')
            self.assertLess(resident(vm) - before, 64 << 10)
            line.close()
            vm.qmp.command('query-status')


def resident(vm):
    """KiB of memory that the process has."""
    with open('/proc/%d/statm' % vm.pid, encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 10


def ours(case):
    return OURS in case


def add_command_line(number, case):
    def test(self):
        if ours(case) and accelerator(common.TERN) == 'tcg':
            self.skipTest('the program under test is stock')
        args = shlex.split(case[0].replace('{{', '{').replace('}}', '}')
                           .replace('{dir}', self.names['dir']).replace('{img}', self.names['img']))
        words = [word.replace('{dir}', self.names['dir']) for word in case[1:] if word is not OURS]
        self.refused(args, words)
    test.__doc__ = case[0]
    setattr(CommandLine, 'test_%03d %s' % (number, point_name(case[0])), test)


def add_message(number, case):
    def test(self):
        if ours(case) and accelerator(common.TERN) == 'tcg':
            self.skipTest('the program under test is stock')
        self.check(case[0], case[1], case[2])
    setattr(QmpInput, 'test_0_%03d %s' % (number, point_name(case[0])), test)


def point_name(text):
    """TAP gives # a meaning."""
    return text.replace('#', '_')[:90]


for index, entry in enumerate(COMMAND_LINES):
    add_command_line(index, entry)
for index, entry in enumerate(QMP_MESSAGES):
    add_message(index, entry)


if __name__ == '__main__':
    tap.main()
